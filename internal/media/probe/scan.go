// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// scanSeconds bounds how much of a source is looked at before ingest begins:
// the first unit must not wait for a second read of a two-hour file.
const scanSeconds = 120

// Scan is what the packets of the first two minutes show.
type Scan struct {
	Frames int64
	// Entries is the number of places where decoding can start: true IDR
	// frames with their parameter sets. The I-frames of open GOPs are none.
	Entries int64
	// MaxGapMicros is the longest time without an entry, from the first frame.
	MaxGapMicros int64
	// OffGrid counts frames that are missing, doubled, or more than a quarter
	// of a frame away from the constant-rate grid.
	OffGrid int64
	// Backwards says that time stamps jump: a concatenated recording.
	Backwards bool
}

// jumpTicks is the step in decoding time that counts as a jump (10 s).
const jumpTicks = 10 * timeline.TickRate

// CopyArgs are the arguments after the input that remux a source to the
// transport stream that the cutter reads: all tracks, original time stamps
// moved by a constant so that none is negative, one audio frame to a packet.
func CopyArgs(info Info) []string {
	args := []string{"-map", "0:" + strconv.Itoa(info.Video.Index)}
	for _, a := range info.Audio {
		args = append(args, "-map", "0:"+strconv.Itoa(a.Index))
	}
	return append(args, "-c", "copy", "-output_ts_offset", "10")
}

// MuxArgs end the command line of both ways of ingest.
func MuxArgs() []string {
	return []string{"-muxdelay", "0", "-muxpreload", "0", "-pes_payload_size", "0",
		"-fflags", "+bitexact", "-f", "mpegts", "pipe:1"}
}

func scanPackets(ctx context.Context, source string, v Video) (Scan, error) {
	pr, pw := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		args := ffmpeg.Input(source, "-copyts", "-t", strconv.Itoa(scanSeconds))
		args = append(args, CopyArgs(Info{Video: v})...)
		pw.CloseWithError(ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Args: append(args, MuxArgs()...), Stdout: pw}))
	}()
	defer pr.Close()

	d := mpegts.NewDemuxer(pr, &timeline.Unwrapper{})
	var stamps, entries []int64
	var scan Scan
	var last int64
	for {
		p, err := d.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Scan{}, err
		}
		if len(stamps) > 0 && (p.DTS <= last || p.DTS > last+jumpTicks) {
			scan.Backwards = true
		}
		last = p.DTS
		if mpegts.ScanNALs(p.Data).Entry() {
			entries = append(entries, p.PTS)
		}
		stamps = append(stamps, p.PTS)
	}
	if len(stamps) == 0 {
		return Scan{}, fmt.Errorf("%w", ffmpeg.ErrEmpty)
	}
	return summarize(scan, stamps, entries, v.Rate), nil
}

func summarize(scan Scan, stamps, entries []int64, rate timeline.Rational) Scan {
	slices.Sort(stamps)
	slices.Sort(entries)
	scan.Frames, scan.Entries = int64(len(stamps)), int64(len(entries))

	edges := append(append([]int64{stamps[0]}, entries...), stamps[len(stamps)-1])
	for i := 1; i < len(edges); i++ {
		scan.MaxGapMicros = max(scan.MaxGapMicros, timeline.MulDiv(edges[i]-edges[i-1], 1_000_000, timeline.TickRate))
	}

	// The grid hangs on the first entry, where the Event will begin. The last
	// second is left out: -t cuts in decoding order, so frames are missing
	// there that the source has.
	tl := timeline.Timeline{OriginTicks: edges[min(1, len(edges)-1)], Rate: rate}
	quarter := max(timeline.TickRate*rate.Den/rate.Num/4, 120)
	next := int64(0)
	for _, s := range stamps {
		if s < tl.OriginTicks || s > stamps[len(stamps)-1]-timeline.TickRate {
			continue
		}
		f := tl.FrameOfTicks(s)
		off := s - tl.FrameStartTicks(f)
		if f != next || off > quarter || off < -quarter {
			scan.OffGrid++
		}
		next = f + 1
	}
	return scan
}
