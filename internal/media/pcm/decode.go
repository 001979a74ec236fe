// SPDX-License-Identifier: Apache-2.0

package pcm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// maxGroups bounds the open pipes of one FFmpeg process, and the streams of
// what it writes.
const maxGroups = 24

// Decode decodes runs of AAC frames in ADTS form, each run in time order and
// with decoders of its own. The first frame of a run is not right yet: give it
// WarmUp to spare. A frame that cannot be decoded is left out, which never is
// an error. As many runs as possible are decoded by one process, whose start
// costs more than the decoding.
func Decode(ctx context.Context, runs [][]mpegts.PES) ([]Sound, error) {
	out := make([]Sound, len(runs))
	var all []group
	for i, run := range runs {
		for _, g := range split(run) {
			g.run = i
			all = append(all, g)
		}
	}
	for len(all) > 0 {
		n := min(len(all), maxGroups)
		if err := decode(ctx, all[:n], out); err != nil {
			return nil, fmt.Errorf("decode sound: %w", err)
		}
		all = all[n:]
	}
	return out, nil
}

// decode decodes groups, appending to their runs. FFmpeg fails as a whole where
// it can make nothing of one input, so then each half is tried apart.
func decode(ctx context.Context, groups []group, out []Sound) error {
	got, err := decodeTogether(ctx, groups)
	if unreadable(err) {
		if len(groups) > 1 {
			half := len(groups) / 2
			if err := decode(ctx, groups[:half], out); err != nil {
				return err
			}
			return decode(ctx, groups[half:], out)
		}
		err = nil
	}
	if err != nil {
		return err
	}
	for i, g := range groups {
		out[g.run] = append(out[g.run], got[i]...)
	}
	return nil
}

// unreadable says whether FFmpeg ran and gave its input up.
func unreadable(err error) bool {
	var failed *ffmpeg.Error
	var exit *exec.ExitError
	return errors.As(err, &failed) && errors.As(failed.Cause, &exit) && exit.ExitCode() > 0
}

// layouts are FFmpeg's names of the channels that frames of a channel
// configuration have.
var layouts = [...]string{1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}

// Layout is FFmpeg's name for a number of channels in the order of this package.
func Layout(channels int) string { return layouts[channels] }

// slotTicks is where a group's time stamps start on their way through FFmpeg,
// so that none is negative and groups are muxed side by side.
const slotTicks = 10 * timeline.TickRate

// decodeTogether runs one FFmpeg for all groups. The samples come back in a
// transport stream, which keeps the time stamps.
func decodeTogether(ctx context.Context, groups []group) ([]Sound, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// All errors of a decoder are borne.
	cmd := ffmpeg.Cmd{Tool: "ffmpeg", Args: []string{"-copyts", "-max_error_rate", "1"}}
	var output []string
	for i, g := range groups {
		cmd.Inputs = append(cmd.Inputs, g.feed())
		cmd.Args = append(cmd.Args, "-f", "mpegts", "-i", "pipe:"+strconv.Itoa(3+i))
		output = append(output, "-map", strconv.Itoa(i)+":a:0", "-filter:a:"+strconv.Itoa(i),
			fmt.Sprintf("aformat=sample_fmts=flt:sample_rates=%d:channel_layouts=%s", Rate, Layout(g.channels)))
	}
	cmd.Args = append(append(cmd.Args, output...),
		"-c:a", "pcm_f32le", "-f", "mpegts", "-muxdelay", "0", "-muxpreload", "0", "-pes_payload_size", "0", "pipe:1")
	pr, pw := io.Pipe()
	cmd.Stdout = pw
	done := make(chan struct{})
	go func() {
		defer close(done)
		pw.CloseWithError(ffmpeg.Run(ctx, cmd))
	}()
	defer func() {
		cancel()
		_ = pr.Close()
		<-done
	}()
	return collect(mpegts.NewDemuxer(pr, timeline.NewUnwrapper(slotTicks)), groups)
}

// collect takes the blocks of each group out of FFmpeg's transport stream, those
// that came before an error too.
func collect(d *mpegts.Demuxer, groups []group) ([]Sound, error) {
	out := make([]Sound, len(groups))
	for {
		p, err := d.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		for _, s := range d.Streams() {
			if i := s.AudioTrack - 1; s.PID == p.PID && i >= 0 && i < len(groups) {
				g := groups[i]
				b := Block{PTS: p.PTS - slotTicks + g.frames[0].PTS, Channels: g.channels, Samples: samples(p.Data)}
				b.Samples = b.Samples[:len(b.Samples)/b.Channels*b.Channels]
				out[i] = append(out[i], b)
			}
		}
	}
}

// loudest is far above what sound can be: damaged frames can decode to
// anything, and a filter never gets over a number that is none.
const loudest = 8

func samples(b []byte) []float32 {
	out := make([]float32, len(b)/4)
	for i := range out {
		x := math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		if x >= -loudest && x <= loudest {
			out[i] = x
		}
	}
	return out
}
