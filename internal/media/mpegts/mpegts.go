// SPDX-License-Identifier: Apache-2.0

// Package mpegts reads and writes the MPEG transport streams in which units
// are stored: H.264 and AAC, one access unit in each PES packet.
//
// It reads what FFmpeg's muxer and this package write; it is no general
// demuxer. It writes units whose continuity counters all start at 0 and end at
// 15, so that units can be joined in any order, byte after byte, without a
// break in the counters.
package mpegts

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Stream types of the program map table.
const (
	TypeH264 = 0x1b
	TypeADTS = 0x0f
	// TypePCM is private data, which is how FFmpeg's muxer writes PCM: decoded
	// sound on its way between two processes, never in a stored unit.
	TypePCM = 0x06
)

const (
	packetSize  = 188
	payloadSize = 184
	syncByte    = 0x47
	patPID      = 0x0000
	pmtPID      = 0x1000
)

// Stream is an elementary stream.
type Stream struct {
	PID uint16
	// Type is the stream type of the program map table.
	Type byte
	// Descriptors are copied as they are: they hold the language.
	Descriptors []byte
	// AudioTrack counts audio streams from 1; 0 for others.
	AudioTrack int
}

// Video says whether the stream is the picture.
func (s Stream) Video() bool { return s.Type == TypeH264 }

// Codec names the stream's codec as FFmpeg does.
func (s Stream) Codec() string {
	switch s.Type {
	case TypeH264:
		return "h264"
	case TypeADTS:
		return "aac"
	case TypePCM:
		return "pcm"
	}
	return "unknown"
}

// PES is one access unit: a picture or an audio frame.
type PES struct {
	PID      uint16
	StreamID byte
	// PTS and DTS are unwrapped ticks.
	PTS, DTS int64
	Data     []byte
}

// NALs tells which kinds of H.264 NAL units an access unit has.
type NALs struct {
	// IDR: it starts a closed group of pictures. SPS, PPS: it carries
	// parameter sets.
	IDR, SPS, PPS bool
	// Picture: it has a coded slice.
	Picture bool
}

// Entry says whether a decoder can start at this access unit with nothing
// else at hand.
func (n NALs) Entry() bool { return n.IDR && n.SPS && n.PPS }

// ScanNALs walks the start codes of an Annex B access unit up to its first
// slice.
func ScanNALs(b []byte) NALs {
	var n NALs
	for i := 0; i+3 < len(b); i++ {
		if b[i] != 0 || b[i+1] != 0 || b[i+2] != 1 {
			continue
		}
		switch b[i+3] & 0x1f {
		case 1, 2:
			n.Picture = true
			return n
		case 5:
			n.IDR, n.Picture = true, true
			return n
		case 7:
			n.SPS = true
		case 8:
			n.PPS = true
		}
		i += 3
	}
	return n
}

// PayloadSHA256 is a hash over what the elementary streams show: their
// payloads and presentation times, but not how they are wrapped. Two twins of
// a unit, cut by processes that joined at different times, have the same.
func PayloadSHA256(streams []Stream, packets []PES) string {
	h := sha256.New()
	var head [16]byte
	for _, s := range streams {
		binary.BigEndian.PutUint64(head[:], uint64(s.PID)<<8|uint64(s.Type))
		h.Write(head[:8])
		for _, p := range packets {
			if p.PID != s.PID {
				continue
			}
			binary.BigEndian.PutUint64(head[:], uint64(timeline.Wrap(p.PTS)))
			binary.BigEndian.PutUint64(head[8:], uint64(len(p.Data)))
			h.Write(head[:])
			h.Write(p.Data)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// languageTag is the tag of the ISO 639 language descriptor. (ISO/IEC 13818-1, 2.6.18)
const languageTag = 0x0a

// LanguageDescriptor names the language of a stream by its three letters; nil
// for any other name.
func LanguageDescriptor(language string) []byte {
	if len(language) != 3 {
		return nil
	}
	return append([]byte{languageTag, 4}, language[0], language[1], language[2], 0)
}
