// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// PIDs of the units. The video is the first stream, the tracks follow in order.
const (
	videoPID = 0x100
	audioPID = 0x101
)

// unitStreams are the elementary streams of the units.
func unitStreams(d probe.Decision) []mpegts.Stream {
	out := []mpegts.Stream{{PID: videoPID, Type: mpegts.TypeH264}}
	for i, s := range d.Sound {
		out = append(out, mpegts.Stream{PID: uint16(audioPID + i), Type: mpegts.TypeADTS, AudioTrack: i + 1,
			Descriptors: mpegts.LanguageDescriptor(s.Language)})
	}
	return out
}

// runCopy remuxes the source. It returns an *Irregular error, after all that is
// stored was stored, where the source cannot be copied on.
func runCopy(ctx context.Context, c Config, sink Sink) error {
	cut := newCutter(c, sink, unitStreams(c.Decision))
	err := copySource(ctx, c, cut)
	var irregular *Irregular
	if !errors.As(err, &irregular) {
		return err
	}
	// The sound of what is complete has come, or never will.
	if err := cut.emitReady(ctx, true); err != nil {
		return err
	}
	return irregular
}

func copySource(ctx context.Context, c Config, cut *cutter) error {
	p, ctx, cancel := newPipeline(ctx, c, cut)
	defer cancel()
	defer p.close()
	film, pictures, err := p.pipe()
	if err != nil {
		return err
	}
	cmd := ffmpeg.Cmd{Tool: "ffmpeg", Stdout: pictures}
	outputs, err := p.transcode(&cmd)
	if err == nil {
		err = copyCommand(ctx, c, &cmd, outputs)
	}
	if err != nil {
		return err
	}
	p.start(ctx, cmd)
	p.produce(func() error {
		defer film.Close()
		return p.demux(ctx, film)
	})
	return p.drain()
}

// copyCommand fills in FFmpeg's arguments.
func copyCommand(ctx context.Context, c Config, cmd *ffmpeg.Cmd, outputs []string) error {
	options := []string{"-copyts"}
	if c.Paced {
		options = append(options, "-re")
	}
	args, stdin, err := c.Info.Input.Input(ctx, options...)
	if err != nil {
		return err
	}
	if stdin != nil {
		cmd.Stdin = stdin
	}
	// Damage to the sound that is decoded is no reason to stop.
	args = append([]string{"-max_error_rate", "1"}, args...)
	args = append(args, "-map", "0:"+strconv.Itoa(c.Info.Video.Index))
	for _, s := range c.Decision.Sound {
		if s.Copy {
			args = append(args, "-map", "0:"+strconv.Itoa(s.Index))
		}
	}
	args = append(args, "-c", "copy")
	if filter := shapeFilter(c.Info); filter != "" {
		args = append(args, "-bsf:v", filter)
	}
	args = append(args, "-output_ts_offset", strconv.Itoa(probe.OffsetTicks/timeline.TickRate))
	args = append(append(args, probe.MuxArgs()...), "pipe:1")
	cmd.Args = append(args, outputs...)
	return nil
}

// shapeFilter writes into the pictures what only the container says of their
// shape, as transport streams have no place for it.
func shapeFilter(info probe.Info) string {
	v, inside := info.Video, info.Scan.Picture
	var set []string
	// What is set here takes the place of the stream's own crop.
	if right := inside.Width - v.Crop.Left - v.Width; v.Crop.Left > 0 || right > 0 {
		set = append(set, fmt.Sprintf("crop_left=%d:crop_right=%d", inside.CropLeft+v.Crop.Left, (inside.CropRight+right)&^1))
	}
	if bottom := inside.Height - v.Crop.Top - v.Height; v.Crop.Top > 0 || bottom > 0 {
		set = append(set, fmt.Sprintf("crop_top=%d:crop_bottom=%d", inside.CropTop+v.Crop.Top, (inside.CropBottom+bottom)&^1))
	}
	if v.SAR != inside.SAR {
		set = append(set, fmt.Sprintf("sample_aspect_ratio=%d/%d", v.SAR.Num, v.SAR.Den))
	}
	if len(set) == 0 {
		return ""
	}
	return "h264_metadata=" + strings.Join(set, ":")
}

// demux takes the copied streams apart.
func (p *pipeline) demux(ctx context.Context, film io.Reader) error {
	// The remuxed stream has the video first, then the copied tracks.
	pids := []uint16{videoPID}
	for i, s := range p.cfg.Decision.Sound {
		if s.Copy {
			pids = append(pids, uint16(audioPID+i))
		}
	}
	stamps := map[uint16]aacStamps{}
	d := mpegts.NewDemuxer(film, &timeline.Unwrapper{})
	for {
		unit, err := d.Next()
		if errors.Is(err, io.EOF) {
			return p.ended(ctx)
		}
		if err != nil {
			// A stream that ends in the middle of a packet is that of an FFmpeg
			// that was killed: its end says more. Until there, sound comes for
			// the pictures that are whole.
			p.damaged = fmt.Errorf("the copied stream is damaged: %w", err)
			_, _ = io.Copy(io.Discard, film)
			return p.ended(ctx)
		}
		for _, s := range d.Streams() {
			if s.PID == unit.PID && s.AudioTrack < len(pids) {
				unit.PID = pids[s.AudioTrack]
				break
			}
		}
		if unit.PID == videoPID {
			err = p.seen(unit)
		} else {
			stamps[unit.PID] = stamps[unit.PID].mend(&unit)
			p.heard(unit.PTS + frameTicks(unit.Data))
		}
		if err == nil {
			err = p.send(ctx, unit)
		}
		if err != nil {
			return err
		}
	}
}

// seen tells the tracks that are encoded here where the pictures are.
func (p *pipeline) seen(picture mpegts.PES) error {
	if p.origin == nil {
		if !mpegts.ScanNALs(picture.Data).Entry() {
			return nil
		}
		p.origin = &picture.PTS
	}
	return p.advance(*p.origin, *p.origin, picture.PTS)
}

// frameTicks is the length of an AAC frame.
func frameTicks(frame []byte) int64 {
	rate, err := mpegts.SampleRate(frame)
	if err != nil {
		return 0
	}
	return timeline.MulDiv(aacSamples, timeline.TickRate, int64(rate))
}
