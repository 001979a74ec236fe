// SPDX-License-Identifier: Apache-2.0

// Package assemble encodes exact ranges of frames of an Event's units into one
// MP4 and a thumbnail. Clips are one range, reels are several.
//
// The units are not given to FFmpeg as they are: the pictures that are needed go
// into one stream, on a grid of frames (package pictures). The sound is decoded
// apart, cut to the sample, and joined before it is encoded.
package assemble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/pcm"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// UnitFile is a stored unit on the local disk.
type UnitFile = mpegts.UnitFile

// Part is a range of frames, Out exclusive.
type Part struct {
	// Units in time order: all that hold a frame of the range, the one before
	// them if the first frame is in none, and the one whose end warms the audio
	// decoder up.
	Units   []UnitFile
	In, Out timeline.Mark
}

// Spec is one output.
type Spec struct {
	Timeline timeline.Timeline
	Parts    []Part
	// AudioTrack counts from 1; the output has an audio stream, silent where the
	// track is. 0 makes a silent film without one.
	AudioTrack int
	// AudioChannels says what becomes of the track's channels.
	AudioChannels Channels
	// Width and Height of the output: the picture is scaled to fill it and
	// cropped around its centre. 0 keeps the source's height and shape.
	Width, Height int
}

// Channels says what becomes of the channels of the sound.
type Channels string

const (
	// Stereo mixes all to two. It is the default.
	Stereo Channels = "Stereo"
	// Source keeps the source's: in each output the most that its parts have.
	Source Channels = "Source"
)

const stereo = 2

// Proof is what was counted in the finished file.
type Proof struct {
	Frames, Width, Height int64
	// AudioSamples at 48 kHz that a player hears; 0 without sound.
	AudioSamples int64
	// Filled counts frames that the source lost and that repeat the one
	// before them. Frozen of them come before the first picture that is there,
	// and show that one.
	Filled, Frozen int64
	// Method is how the clip was cut, Reason why not in a cheaper way.
	Method, Reason string
}

// movieTimescale counts both samples and the usual frames exactly, so that edit
// lists are not rounded to milliseconds.
const movieTimescale = 240000

// encoderThreads is fixed, since it changes what x264 writes: the same spec
// gives the same file on every machine.
const encoderThreads = "4"

// Run makes the MP4 and, unless its path is empty, the thumbnail, and proves
// the MP4. On an error neither file is left behind.
func Run(ctx context.Context, s Spec, outMP4, outJPG string) (Proof, error) {
	proof, err := run(ctx, s, outMP4, outJPG)
	if err != nil {
		for _, path := range []string{outMP4, outJPG} {
			if path == "" {
				continue
			}
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
	video := p.Open()
	defer video.Close()
	cmd := ffmpeg.Cmd{Tool: "ffmpeg", Stdin: video, Args: p.Input()}
	if p.channels > 0 {
		sound := p.soundFeed(ctx)
		defer sound.Close()
		cmd.Inputs = append(cmd.Inputs, sound)
		cmd.Args = append(cmd.Args, "-f", "f32le", "-ar", strconv.Itoa(pcm.Rate),
			"-ac", strconv.Itoa(p.channels), "-i", "pipe:3")
	}
	var decoded bytes.Buffer
	cmd.Stdout = &decoded
	cmd.Args = append(cmd.Args, p.outputArgs(outMP4, outJPG)...)
	err = ffmpeg.Run(ctx, cmd)
	seen := p.listed(decoded.String())
	switch {
	case seen == 0 && (err == nil || errors.Is(err, ffmpeg.ErrCorrupt)):
		return Proof{}, fmt.Errorf("none of the %d pictures can be decoded: the units are damaged", p.Given)
	case err != nil:
		return Proof{}, fmt.Errorf("encode %d frames: %w", p.Frames, err)
	}
	return p.prove(ctx, outMP4, outJPG, max(0, p.Given-seen))
}

func (p *plan) outputArgs(outMP4, outJPG string) []string {
	rate := p.spec.Timeline.Rate
	gop := strconv.FormatInt(timeline.MulDiv(2, rate.Num, rate.Den), 10)
	// What the decoder gave is listed, picture by picture.
	graph := []string{fmt.Sprintf("[0:v:0]%s,split[listed][shown]", p.selection())}
	// (Limiting by -frames:v would end the sound with the last picture.)
	film := fmt.Sprintf("[shown]%s,%s", p.geometry(), p.Fill())
	if outJPG == "" {
		graph = append(graph, film+"[film]")
	} else {
		graph = append(graph, film+",split[film][still]",
			fmt.Sprintf("[still]select='eq(n,%d)',%s[thumb]", p.Frames/2, p.thumbnail()))
	}
	maps := []string{"-map", "[film]"}
	if p.channels > 0 {
		n := p.samples(p.Frames)
		// The channels have the order of AAC's own configurations, so no program
		// config element is needed.
		graph = append(graph, fmt.Sprintf("[1:a:0]%s,apad=whole_len=%d,atrim=end_sample=%d[sound]", p.layout(), n, n))
		maps = append(maps, "-map", "[sound]", "-c:a", "aac", "-b:a", p.soundBitRate(), "-flags:a", "+bitexact")
	}
	args := append([]string{"-filter_complex", strings.Join(graph, ";")}, maps...)
	args = append(args, "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-bf", "2",
		"-g", gop, "-threads:v", encoderThreads, "-flags:v", "+bitexact", "-fps_mode:v", "passthrough",
		"-video_track_timescale", strconv.FormatInt(trackTimescale(rate), 10),
		"-movie_timescale", strconv.Itoa(movieTimescale))
	args = append(args, p.pixels()...)
	args = append(args, "-map_metadata", "-1", "-fflags", "+bitexact", "-movflags", "+faststart", "-f", "mp4",
		"-y", "file:"+outMP4, "-map", "[listed]", "-c:v", "wrapped_avframe",
		"-fps_mode:v", "passthrough", "-f", "mkvtimestamp_v2", "pipe:1")
	if outJPG == "" {
		return args
	}
	return append(args, "-map", "[thumb]", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "4", "-flags:v", "+bitexact",
		"-f", "image2", "-update", "1", "-y", "file:"+outJPG)
}

// trackTimescale makes every frame a whole number of the MP4's time units.
func trackTimescale(r timeline.Rational) int64 {
	ts := r.Num
	for ts < 10000 {
		ts *= 10
	}
	return ts
}

// layout names the channels.
func (p *plan) layout() string {
	var same []string
	for c := range p.channels {
		same = append(same, fmt.Sprintf("c%d=c%d", c, c))
	}
	return fmt.Sprintf("pan=%s|%s", pcm.Layout(p.channels), strings.Join(same, "|"))
}

// soundBitRate is 160 kbit/s for a pair and less for each further channel.
func (p *plan) soundBitRate() string {
	if p.channels <= stereo {
		return "160k"
	}
	return strconv.Itoa(64*p.channels) + "k"
}

// selection takes the wanted pictures. A change of size must have passed before
// other filters see it.
func (p *plan) selection() string {
	if p.Changes {
		return p.fit() + "," + p.Select()
	}
	return p.Select()
}

// listed counts the frames for which the decoder gave a picture.
func (p *plan) listed(stamps string) int64 {
	seen := map[int64]bool{}
	for line := range strings.Lines(stamps) {
		// The first line is a title.
		if ms, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64); err == nil {
			seen[timeline.MulDiv(ms, p.spec.Timeline.Rate.Num, 1000*p.spec.Timeline.Rate.Den)] = true
		}
	}
	return int64(len(seen))
}
