// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// scanSeconds bounds how much of a source is looked at before ingest begins:
	// the first unit must not wait for a second read of the source. What a
	// later part breaks, ingest finds.
	scanSeconds = 10
	scanTicks   = scanSeconds * timeline.TickRate
	// OffsetTicks is added to all time stamps, so that none is negative.
	OffsetTicks = 10 * timeline.TickRate
)

// Scan is what the packets of the first seconds show.
type Scan struct {
	Frames int64
	// Entries is the number of places where decoding can start: true IDR
	// frames with their parameter sets. The I-frames of open GOPs are none.
	Entries int64
	// MaxGapMicros is the longest time without an entry, from the first frame.
	MaxGapMicros int64
	// Broken says what forbids copying already here; empty if nothing does.
	Broken string
	// Picture is what the first sequence parameter set says.
	Picture mpegts.Picture
	// Undecodable are the stream indexes of AAC that cannot be decoded from its
	// middle.
	Undecodable map[int]bool
}

// copyArgs map a source's pictures, and the AAC of its tracks, to a transport
// stream: original time stamps moved by a constant, one access unit to a packet.
func copyArgs(info Info, sound func(Audio) bool) []string {
	args := []string{"-map", "0:" + strconv.Itoa(info.Video.Index)}
	for _, a := range info.Audio {
		if sound(a) {
			args = append(args, "-map", "0:"+strconv.Itoa(a.Index))
		}
	}
	args = append(args, "-c", "copy", "-output_ts_offset", strconv.Itoa(OffsetTicks/timeline.TickRate))
	return append(args, MuxArgs()...)
}

// MuxArgs are the options of a transport stream on a pipe between FFmpeg and
// this program; the pipe's name follows. FFmpeg counts the stamps of a transport
// stream that begins less than a minute before the 33-bit wrap from below zero,
// and would move the streams on each pipe up by amounts of their own.
func MuxArgs() []string {
	return []string{"-muxdelay", "0", "-muxpreload", "0", "-pes_payload_size", "0", "-avoid_negative_ts", "disabled",
		"-fflags", "+bitexact", "-f", "mpegts"}
}

// scanPackets looks at the copied packets of the first seconds. It returns
// the stamps of the pictures, sorted.
func scanPackets(ctx context.Context, info Info) (Scan, []int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	args, stdin, err := info.Input.Input(ctx, "-copyts")
	if err != nil {
		return Scan{}, nil, err
	}
	isAAC := func(a Audio) bool { return a.Codec == "aac" }
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd := ffmpeg.Cmd{Tool: "ffmpeg", Args: append(append(args, copyArgs(info, isAAC)...), "pipe:1"), Stdout: pw}
		if stdin != nil {
			cmd.Stdin = stdin
		}
		pw.CloseWithError(ffmpeg.Run(ctx, cmd))
	}()
	defer func() {
		cancel()
		_ = pr.Close()
		<-done
	}()

	var tracks []int
	for _, a := range info.Audio {
		if isAAC(a) {
			tracks = append(tracks, a.Index)
		}
	}
	s := scanner{scan: Scan{Undecodable: map[int]bool{}}, tracks: tracks}
	d := mpegts.NewDemuxer(pr, &timeline.Unwrapper{})
	for !s.enough() {
		p, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			// The beginning can be damaged where the rest is whole.
			if len(s.stamps) > 0 && !ffmpeg.Killed(err) && !unreadable(err) && ctx.Err() == nil {
				s.scan.Broken = "the first seconds are damaged"
				break
			}
			return Scan{}, nil, err
		}
		s.take(d.Streams(), p)
	}
	if len(s.stamps) == 0 {
		return Scan{}, nil, fmt.Errorf("%w", ffmpeg.ErrEmpty)
	}
	scan, stamps := s.summarize()
	return scan, stamps, nil
}

// unreadable reports whether an error is of the way to the source, not of what
// is in it.
func unreadable(err error) bool {
	for _, kind := range []error{ffmpeg.ErrUnreachable, ffmpeg.ErrForbidden, ffmpeg.ErrNotFound, ffmpeg.ErrNotSeekable} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// scanner collects what packets show.
type scanner struct {
	scan            Scan
	tracks          []int
	stamps, entries []int64
	heard           map[uint16]bool
	lastDTS         int64
	stopped         bool
}

// enough stops the scan after some seconds of pictures.
func (s *scanner) enough() bool {
	s.stopped = len(s.stamps) > 0 && s.lastDTS-s.stamps[0] > scanTicks
	return s.stopped
}

func (s *scanner) take(streams []mpegts.Stream, p mpegts.PES) {
	for _, stream := range streams {
		switch {
		case stream.PID != p.PID:
		case stream.Video():
			s.picture(p)
		case s.heard[p.PID] || stream.AudioTrack > len(s.tracks):
		default:
			if s.heard == nil {
				s.heard = map[uint16]bool{}
			}
			s.heard[p.PID] = true
			if h, err := mpegts.ReadADTS(p.Data); err != nil || h.Channels == 0 {
				s.scan.Undecodable[s.tracks[stream.AudioTrack-1]] = true
			}
		}
	}
}

func (s *scanner) picture(p mpegts.PES) {
	if len(s.stamps) > 0 && p.DTS <= s.lastDTS {
		s.scan.Broken = "the time stamps go back"
	}
	s.lastDTS = p.DTS
	if mpegts.ScanNALs(p.Data).Entry() {
		s.entries = append(s.entries, p.PTS)
		if pic, err := mpegts.ReadPicture(p.Data); err == nil && s.scan.Picture.Width == 0 {
			s.scan.Picture = pic
		}
	}
	s.stamps = append(s.stamps, p.PTS)
}

func (s *scanner) summarize() (Scan, []int64) {
	scan, stamps, entries := s.scan, s.stamps, s.entries
	slices.Sort(stamps)
	slices.Sort(entries)
	scan.Frames, scan.Entries = int64(len(stamps)), int64(len(entries))
	edges := append(append([]int64{stamps[0]}, entries...), stamps[len(stamps)-1])
	for i := 1; i < len(edges); i++ {
		scan.MaxGapMicros = max(scan.MaxGapMicros, timeline.MulDiv(edges[i]-edges[i-1], 1_000_000, timeline.TickRate))
	}
	if s.stopped {
		// Packets come in decoding order, so that pictures are missing at the
		// end which the source has.
		stamps = stamps[:max(1, sortedBefore(stamps, stamps[len(stamps)-1]-timeline.TickRate))]
	}
	// The Event begins with the first entry.
	if len(entries) > 0 {
		stamps = stamps[sortedBefore(stamps, entries[0]):]
	}
	return scan, stamps
}

// sortedBefore counts the stamps before a time.
func sortedBefore(stamps []int64, ticks int64) int {
	n, _ := slices.BinarySearch(stamps, ticks)
	return n
}

// readStamps reads the stamps of the first seconds of any codec, sorted.
func readStamps(ctx context.Context, info Info) ([]int64, error) {
	args, stdin, err := info.Input.Input(ctx, "-read_intervals", "%+"+strconv.Itoa(scanSeconds),
		"-select_streams", strconv.Itoa(info.Video.Index), "-show_entries", "packet=pts_time,dts_time", "-of", "json")
	if err != nil {
		return nil, err
	}
	cmd := ffmpeg.Cmd{Tool: "ffprobe", Args: args}
	if stdin != nil {
		cmd.Stdin = stdin
	}
	out, err := ffmpeg.Output(ctx, cmd)
	if err != nil {
		return nil, err
	}
	var seen struct {
		Packets []struct {
			PTS string `json:"pts_time"`
			DTS string `json:"dts_time"`
		} `json:"packets"`
	}
	if err := json.NewDecoder(bytes.NewReader(out)).Decode(&seen); err != nil {
		return nil, fmt.Errorf("read ffprobe's answer: %w", err)
	}
	var stamps []int64
	for _, p := range seen.Packets {
		at, err := strconv.ParseFloat(p.PTS, 64)
		if err != nil {
			if at, err = strconv.ParseFloat(p.DTS, 64); err != nil {
				continue
			}
		}
		stamps = append(stamps, int64(math.Round(at*timeline.TickRate)))
	}
	slices.Sort(stamps)
	// The last half second may lack pictures that are decoded later.
	if n := len(stamps); n > 2*fewPictures {
		stamps = stamps[:max(fewPictures, sortedBefore(stamps, stamps[n-1]-timeline.TickRate/2))]
	}
	return stamps, nil
}
