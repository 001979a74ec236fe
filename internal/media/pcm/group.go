// SPDX-License-Identifier: Apache-2.0

package pcm

import (
	"bufio"
	"io"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
)

// group is a stretch of a run that one decoder can read: all frames have the
// same sample rate and channels.
type group struct {
	run, channels int
	frames        []mpegts.PES
}

// split sorts out what are no whole frames and groups the others.
func split(run []mpegts.PES) []group {
	var out []group
	var last mpegts.ADTS
	whole := wholeFrames(run)
	for i, f := range whole {
		if i == 0 || f.ADTS != last {
			out = append(out, group{channels: channelsOf(f.ADTS)})
		}
		last = f.ADTS
		g := &out[len(out)-1]
		g.frames = append(g.frames, f.PES)
	}
	return out
}

type wholeFrame struct {
	mpegts.ADTS
	mpegts.PES
}

// wholeFrames leaves out what would harm its neighbours: frames that are cut
// off, since a decoder would read on in the next, and a single one whose header
// differs from both neighbours, which is damage and no change.
func wholeFrames(run []mpegts.PES) []wholeFrame {
	var whole, out []wholeFrame
	for _, f := range run {
		if h, ok := readFrames(f.Data); ok {
			whole = append(whole, wholeFrame{h, f})
		}
	}
	for i, f := range whole {
		alone := (i == 0 || whole[i-1].ADTS != f.ADTS) && (i+1 == len(whole) || whole[i+1].ADTS != f.ADTS)
		if len(whole) == 1 || !alone {
			out = append(out, f)
		}
	}
	return out
}

// adtsHeader is the length of a frame's header without check sum.
const adtsHeader = 7

// readFrames reads the headers of an access unit: one AAC frame, or several of
// one kind.
func readFrames(b []byte) (mpegts.ADTS, bool) {
	var first mpegts.ADTS
	for at := 0; at < len(b); {
		f := b[at:]
		h, err := mpegts.ReadADTS(f)
		if err != nil || at > 0 && h != first {
			return mpegts.ADTS{}, false
		}
		length := int(f[3]&3)<<11 | int(f[4])<<3 | int(f[5])>>5
		if length < adtsHeader || length > len(f) {
			return mpegts.ADTS{}, false
		}
		first = h
		at += length
	}
	return first, len(b) > 0
}

// channelsOf is the number of channels; two where only the frames tell.
func channelsOf(h mpegts.ADTS) int {
	switch h.Channels {
	case 0:
		return 2
	case 7:
		return 8
	}
	return h.Channels
}

// Channels is the most channels that frames have, and 0 without any.
func Channels(run []mpegts.PES) int {
	n := 0
	for _, f := range wholeFrames(run) {
		n = max(n, channelsOf(f.ADTS))
	}
	return n
}

// soundPID is the only stream of a group's transport stream.
const soundPID = 0x100

// feed is the group as a transport stream, for FFmpeg. It must be closed.
func (g group) feed() *io.PipeReader {
	pr, pw := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(pw, 1<<16)
		err := g.write(out)
		if err == nil {
			err = out.Flush()
		}
		pw.CloseWithError(err)
	}()
	return pr
}

func (g group) write(w io.Writer) error {
	m, err := mpegts.NewMuxer(w, []mpegts.Stream{{PID: soundPID, Type: mpegts.TypeADTS, AudioTrack: 1}})
	if err != nil {
		return err
	}
	if err := m.WriteTables(); err != nil {
		return err
	}
	for _, f := range g.frames {
		f.PID = soundPID
		f.PTS += slotTicks - g.frames[0].PTS
		f.DTS = f.PTS
		if err := m.WritePES(f); err != nil {
			return err
		}
	}
	return nil
}
