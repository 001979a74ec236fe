// SPDX-License-Identifier: Apache-2.0

// Package probe looks at a source and decides how it can be ingested: copied
// as it is, or through a mezzanine.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/Eyevinn/mp4ff/mp4"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/source"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Input is how FFmpeg reads a source. Every reading starts anew.
type Input interface {
	// Input returns FFmpeg's arguments up to and including -i, with options
	// before it, and what to feed to its standard input (nil where FFmpeg
	// opens the source itself).
	Input(ctx context.Context, options ...string) (args []string, stdin io.ReadCloser, err error)
}

// Options are what the user asks of a source.
type Options struct {
	// Mezzanine forbids copying.
	Mezzanine bool
	// KeepHDR keeps HDR pictures as they are instead of mapping them to BT.709.
	KeepHDR bool
	// Programme is taken of a transport stream with several; 0 takes the first
	// that has a picture.
	Programme int
	// Audio chooses the tracks; empty takes every stream that can be decoded.
	Audio []Selection
}

// Selection is an audio track that the user asks for.
type Selection struct {
	// Stream is the container's stream index.
	Stream int
	// Channels are taken of it, counted from 1; empty takes all.
	Channels []int
}

// Info describes a source.
type Info struct {
	// Container is FFmpeg's name for the format, such as "mov,mp4,m4a,3gp,3g2,mj2".
	Container string
	// DurationMicros is what the container says; 0 when it does not. It is a
	// hint: damaged and joined files say anything.
	DurationMicros int64
	Video          Video
	Audio          []Audio
	// LeftOut names streams that are not ingested, and why.
	LeftOut []string
	// EditList says that the container hides pictures by an edit list; empty
	// when it does not.
	EditList string
	// Scan holds what a look at the packets showed; nil when the video is not
	// H.264, whose packets need no look.
	Scan *Scan
	// Options are those that the source was looked at with.
	Options Options
	// Input reads the source.
	Input Input
	// Joins are the places where its clock was closed, as far as it was read.
	Joins *Joins
}

// ErrSelection means that the user asks for something that the source does not have.
var ErrSelection = errors.New("the source does not have what the Event asks for")

// Video is the stream whose pictures are ingested.
type Video struct {
	// Index is the container's stream index.
	Index                       int
	Codec, Profile, PixelFormat string
	FieldOrder                  string
	// Width and Height are those that the container shows, before any turn.
	Width, Height int
	// Crop is what the container hides of the stored pictures. Width and Height
	// are those of the rest.
	Crop Crop
	// SAR is the shape of a sample.
	SAR timeline.Rational
	// Rotation is by how many degrees the container asks players to turn the
	// picture: 0, 90, 180 or 270.
	Rotation int
	// FullRange says that samples use 0 to 255. Matrix, Transfer and Primaries
	// are FFmpeg's names of the colour description; empty where it is not given.
	FullRange                   bool
	Matrix, Transfer, Primaries string
	// Rate is the nominal frame rate.
	Rate timeline.Rational
	// Variable says that pictures do not follow each other by whole periods.
	Variable bool
	// DurationMicros is how long the container says the video is; 0 when it
	// does not say.
	DurationMicros int64
	// nominal is the rate that the container names.
	nominal timeline.Rational
}

// DisplaySize is the size at which people see the picture: turned, in square
// samples, its height kept and both sides even.
func (v Video) DisplaySize() (width, height int) {
	w, h, sar := v.Turned()
	if sar.Valid() && sar.Num != sar.Den {
		w = int(timeline.MulDiv(int64(w), sar.Num, 2*sar.Den)) * 2
	}
	return max(w&^1, 2), max(h&^1, 2)
}

// Turned is the size of the picture and the shape of a sample once it is turned.
func (v Video) Turned() (width, height int, sar timeline.Rational) {
	if v.Rotation%180 == 0 {
		return v.Width, v.Height, v.SAR
	}
	return v.Height, v.Width, timeline.Rational{Num: v.SAR.Den, Den: v.SAR.Num}
}

// HDR reports whether the pictures need tone mapping to be seen as usual ones.
func (v Video) HDR() bool { return v.Transfer == "smpte2084" || v.Transfer == "arib-std-b67" }

// Audio is an audio track.
type Audio struct {
	// Track counts the ingested audio streams from 1; Index is the container's.
	Track, Index         int
	Codec, Profile       string
	SampleRate, Channels int
	// Layout is FFmpeg's name of the channels; empty where they have no meaning.
	Layout   string
	Language string
	// Select are the channels that are taken, counted from 1; nil takes all.
	Select []int
}

// Stored is the number of channels in the units where the track is encoded
// anew: AAC names mono, stereo, 5.1 and 7.1 without a program config element.
func (a Audio) Stored() int {
	switch {
	case len(a.Select) > 0:
		return len(a.Select)
	case a.Channels <= 2:
		return a.Channels
	case a.Channels <= 6:
		return 6
	}
	return 8
}

// Probe looks at a file or URL as it is. Its errors are the kinds of package ffmpeg.
func Probe(ctx context.Context, url string) (Info, error) {
	return Open(ctx, url, Options{})
}

// Open looks at a file or URL: its index and its first seconds.
func Open(ctx context.Context, url string, o Options) (Info, error) {
	fail := func(what string, err error) (Info, error) {
		return Info{}, fmt.Errorf("%s %s: %w", what, ffmpeg.Redact(url), err)
	}
	joins := &Joins{}
	in, err := source.Open(ctx, url, source.Options{Programme: o.Programme, Joined: joins.add, Ended: joins.ended})
	if errors.Is(err, source.ErrNoProgramme) {
		err = fmt.Errorf("%w: spec.source.file.programme: %w", ErrSelection, err)
	}
	if err != nil {
		return fail("open", err)
	}
	var index <-chan *mp4.MoovBox
	if c := in.Container(); c == source.Other || c == source.FragmentedMP4 {
		index = readIndex(ctx, url)
	}
	args, stdin, err := in.Input(ctx)
	if err != nil {
		return fail("open", err)
	}
	cmd := ffmpeg.Cmd{Tool: "ffprobe", Args: append([]string{"-of", "json", "-show_format", "-show_streams"}, args...)}
	if stdin != nil {
		cmd.Stdin = stdin
	}
	out, err := ffmpeg.Output(ctx, cmd)
	if err != nil {
		return fail("open", err)
	}
	info, err := parse(ctx, out, o)
	if err != nil {
		return fail("open", err)
	}
	info.Options, info.Input, info.Joins = o, in, joins
	if in.Container() == source.FragmentedMP4 {
		// As far as FFmpeg knows it, that is the end of the first fragment.
		info.DurationMicros, info.Video.DurationMicros = 0, 0
	}
	if index != nil && isMP4(info.Container) {
		moov := <-index
		info.EditList = editList(moov, info.Video.Index)
		info.Video.obey(cleanAperture(moov, info.Video.Index, info.Video.Width, info.Video.Height))
	}
	if in.Container() == source.Matroska {
		info.Video.obeyShape(in.Shape(info.Video.Index))
	}
	var stamps []int64
	if info.Video.Codec == "h264" {
		var scan Scan
		if scan, stamps, err = scanPackets(ctx, info); err == nil {
			info.Scan = &scan
		}
	} else {
		stamps, err = readStamps(ctx, info)
	}
	if err != nil {
		return fail("scan", err)
	}
	var constant bool
	info.Video.Rate, constant = RateOf(stamps, info.Video.nominal)
	info.Video.Variable = !constant
	return info, nil
}
