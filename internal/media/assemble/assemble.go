// SPDX-License-Identifier: Apache-2.0

// Package assemble encodes exact ranges of frames of an Event's units into one
// MP4 and a thumbnail. Clips are one range, reels are several.
//
// The units are not given to FFmpeg as they are. Only the groups of pictures
// that are needed go into one transport stream, each range moved into its own
// slot of a new time axis, so one decoder and one input serve any number of
// ranges and FFmpeg never has to seek. The sound is decoded apart, cut to the
// sample, and joined before it is encoded.
package assemble

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// UnitFile is a stored unit on the local disk.
type UnitFile = mpegts.UnitFile

// Part is a range of frames, Out exclusive.
type Part struct {
	// Units in time order: all that hold a frame of the range, and the one
	// before them if there is one, whose end warms the audio decoder up.
	Units   []UnitFile
	In, Out timeline.Mark
}

// Spec is one output.
type Spec struct {
	Timeline timeline.Timeline
	Parts    []Part
	// AudioTrack counts from 1; 0 makes a silent film without audio stream.
	AudioTrack int
	// Width and Height of the output: the picture is scaled to fill it and
	// cropped around its centre. 0 keeps the source's.
	Width, Height int
}

// Proof is what was counted in the finished file.
type Proof struct {
	Frames, Width, Height int64
	// AudioSamples at 48 kHz that a player hears; 0 without sound.
	AudioSamples int64
	// Filled counts frames that the source lost and that repeat the one
	// before them.
	Filled int64
	// Method is how the clip was cut, Reason why not in a cheaper way.
	Method, Reason string
}

// outputRate is the sample rate of every output.
const outputRate = 48000

// movieTimescale counts both samples and the usual frames exactly, so that edit
// lists are not rounded to milliseconds.
const movieTimescale = 240000

// encoderThreads is fixed, since it changes what x264 writes: the same spec
// gives the same file on every machine.
const encoderThreads = "4"

// Run makes the MP4 and the thumbnail and proves the MP4. On an error neither
// file is left behind.
func Run(ctx context.Context, s Spec, outMP4, outJPG string) (Proof, error) {
	proof, err := run(ctx, s, outMP4, outJPG)
	if err != nil {
		for _, path := range []string{outMP4, outJPG} {
			if rmErr := os.Remove(path); rmErr != nil && !errors.Is(rmErr, os.ErrNotExist) {
				err = errors.Join(err, rmErr)
			}
		}
	}
	return proof, err
}

func run(ctx context.Context, s Spec, outMP4, outJPG string) (Proof, error) {
	if s.Width%2 != 0 || s.Height%2 != 0 || (s.Width == 0) != (s.Height == 0) {
		return Proof{}, fmt.Errorf("output size %dx%d: both sides must be even, or both 0", s.Width, s.Height)
	}
	p, err := newPlan(s)
	if err != nil {
		return Proof{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	video := p.videoFeed()
	defer video.Close()
	cmd := ffmpeg.Cmd{Tool: "ffmpeg", Stdin: video, Args: []string{"-threads", "2", "-copyts", "-f", "mpegts", "-i", "pipe:0"}}
	if p.sampleRate > 0 {
		sound := p.audioFeed(ctx)
		defer sound.Close()
		cmd.Inputs = append(cmd.Inputs, sound)
		cmd.Args = append(cmd.Args, "-f", "s16le", "-ar", strconv.Itoa(p.sampleRate), "-ac", "2", "-i", "pipe:3")
	}
	cmd.Args = append(cmd.Args, p.outputArgs(outMP4, outJPG)...)
	if err := ffmpeg.Run(ctx, cmd); err != nil {
		return Proof{}, fmt.Errorf("encode %d frames: %w", p.frames, err)
	}
	return p.prove(ctx, outMP4, outJPG)
}

func (p *plan) outputArgs(outMP4, outJPG string) []string {
	rate := p.spec.Timeline.Rate
	gop := strconv.FormatInt(timeline.MulDiv(2, rate.Num, rate.Den), 10)
	graph := []string{
		fmt.Sprintf("[0:v:0]%s,%s,split[film][still]", p.timing(), p.geometry()),
		fmt.Sprintf("[still]select='eq(n,%d)',scale='min(640,iw)':-2,format=yuvj420p[thumb]", p.frames/2),
	}
	maps := []string{"-map", "[film]"}
	if p.sampleRate > 0 {
		n := p.samples(p.frames, outputRate)
		graph = append(graph, fmt.Sprintf("[1:a:0]aresample=%d,apad=whole_len=%d,atrim=end_sample=%d[sound]", outputRate, n, n))
		maps = append(maps, "-map", "[sound]", "-c:a", "aac", "-b:a", "160k", "-flags:a", "+bitexact")
	}
	args := append([]string{"-filter_complex", strings.Join(graph, ";")}, maps...)
	return append(args,
		"-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-profile:v", "high", "-pix_fmt", "yuv420p", "-bf", "2",
		"-g", gop, "-threads:v", encoderThreads, "-flags:v", "+bitexact", "-fps_mode:v", "passthrough",
		"-video_track_timescale", strconv.FormatInt(trackTimescale(rate), 10), "-movie_timescale", strconv.Itoa(movieTimescale),
		"-map_metadata", "-1", "-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4", "-y", "file:"+outMP4,
		"-map", "[thumb]", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "4", "-flags:v", "+bitexact", "-f", "image2", "-update", "1", "-y", "file:"+outJPG)
}

// trackTimescale makes every frame a whole number of the MP4's time units.
func trackTimescale(r timeline.Rational) int64 {
	ts := r.Num
	for ts < 10000 {
		ts *= 10
	}
	return ts
}

// timing selects the frames of all slots and puts them on the output's grid.
// (Limiting by -frames:v would end the sound with the last picture.)
func (p *plan) timing() string {
	rate := p.spec.Timeline.Rate
	var ranges, shifts []string
	for _, q := range p.parts {
		ranges = append(ranges, fmt.Sprintf("between(pts,%d,%d)", q.from, q.to-1))
		shifts = append(shifts, fmt.Sprintf("between(PTS,%d,%d)*%d", q.from, q.to-1, q.toZero))
	}
	pick := "select='" + strings.Join(ranges, "+") + "'"
	if p.missing == 0 {
		return fmt.Sprintf("%s,settb=%d/%d,setpts=N,fps=%s", pick, rate.Den, rate.Num, rate)
	}
	// Lost frames are filled by repeating the one before, so that sound and
	// later frames keep their places.
	return fmt.Sprintf("%s,setpts='PTS-(%s)',fps=%s:start_time=0:round=near,tpad=stop_mode=clone:stop=%d,trim=end_frame=%d",
		pick, strings.Join(shifts, "+"), rate, p.missing, p.frames)
}

// geometry scales to fill the output and crops around the centre. A crop that
// needs no scaling stays exact.
func (p *plan) geometry() string {
	w, h := p.spec.Width, p.spec.Height
	if w == 0 {
		return "setsar=1"
	}
	sw, sh := p.width, p.height
	switch {
	case w == sw && h <= sh, h == sh && w <= sw:
	case w*p.height >= h*p.width:
		sw, sh = w, even((p.height*w+p.width-1)/p.width)
	default:
		sw, sh = even((p.width*h+p.height-1)/p.height), h
	}
	var f []string
	if sw != p.width || sh != p.height {
		f = append(f, fmt.Sprintf("scale=%d:%d:flags=bicubic+accurate_rnd+bitexact", sw, sh))
	}
	if sw != w || sh != h {
		f = append(f, fmt.Sprintf("crop=%d:%d:%d:%d", w, h, (sw-w)/2&^1, (sh-h)/2&^1))
	}
	return strings.Join(append(f, "setsar=1"), ",")
}

func even(n int) int { return (n + 1) &^ 1 }
