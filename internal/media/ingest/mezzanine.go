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

// A mezzanine is made by three programs. One FFmpeg decodes the source to raw
// pictures, with their stamps on a second pipe, and to samples. The pictures
// are numbered here, so that each frame has exactly one: the last of those that
// share it, and the one before where none came. A second FFmpeg encodes them,
// a third the sound of each track.

// standTicks before the point where a mezzanine goes on are decoded with it
// (60 s): the last picture there may stand on.
const standTicks = 60 * timeline.TickRate

// encoderThreads is fixed: the number of threads changes what x264 writes, and
// two runs must write the same.
const encoderThreads = "4"

func runMezzanine(ctx context.Context, c Config, sink Sink) error {
	cut := newCutter(c, sink, unitStreams(c.Decision))
	p, ctx, cancel := newPipeline(ctx, c, cut)
	defer cancel()
	defer p.close()
	cmd := ffmpeg.Cmd{Tool: "ffmpeg"}
	outputs, err := p.transcode(&cmd)
	if err != nil {
		return err
	}
	raw, rawEnd, err := p.pipe()
	if err != nil {
		return err
	}
	stamps, stampsEnd, err := p.pipe()
	if err != nil {
		return err
	}
	coder, err := p.newEncoder()
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Outputs = rawEnd, append(cmd.Outputs, stampsEnd)
	if err := decodeCommand(ctx, c, &cmd, outputs, 2+len(cmd.Outputs)); err != nil {
		return err
	}
	cut.dropped = p.droppedBefore
	f := &filmstrip{p: p, pace: newPacer(c), raw: raw, stamps: stamps, encoder: coder}
	if c.Resume != nil {
		// The sound of what is stored comes first, and is not kept.
		if err := p.begin(f.pace.origin(), f.pace.ticksOf(0)); err != nil {
			return err
		}
	}
	p.start(ctx, cmd)
	p.group.Go(func() error { return f.run(ctx) })
	p.group.Go(func() error {
		err := coder.run(ctx, encodeArgs(c))
		if p.stored() && ctx.Err() == nil {
			return nil
		}
		return err
	})
	p.produce(func() error { return f.demux(ctx) })
	return p.drain()
}

// decodeCommand fills in the arguments of the FFmpeg that decodes.
func decodeCommand(ctx context.Context, c Config, cmd *ffmpeg.Cmd, outputs []string, stampsFD int) error {
	// Damage is no reason to stop, and a picture of another size is none to
	// build the filters anew: they would lose what they hold. Without the flag,
	// a crop at the left is rounded.
	options := []string{"-copyts", "-reinit_filter:v", "0", "-flags:v", "unaligned"}
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
	args = append([]string{"-max_error_rate", "1"}, args...)
	filter := pictureFilter(c) +
		fmt.Sprintf(",settb=1/%d,metadata=mode=add:key=at:value=0,metadata=mode=print:file=pipe\\\\:%d:direct=1",
			timeline.TickRate, stampsFD)
	args = append(args, "-map", "0:"+strconv.Itoa(c.Info.Video.Index), "-vf", filter, "-fps_mode", "passthrough",
		"-c:v", "rawvideo", "-f", "rawvideo", "pipe:1")
	cmd.Args = append(args, outputs...)
	return nil
}

// pictureFilter brings every picture of the source to the form of the units:
// one size, its shape kept, whatever the source changes to.
func pictureFilter(c Config) string {
	v, to := c.Info.Video, c.Decision.Picture
	var f []string
	if c.Resume != nil && c.Resume.OriginTicks < timeline.WrapTicks/2 {
		// What is stored need not be scaled and piped; the stamps decide.
		from := c.Resume.ticks(c.Decision.Rate) - probe.OffsetTicks - standTicks
		f = append(f, fmt.Sprintf("select='gte(t,%d)'", timeline.MulDivFloor(from, 1, timeline.TickRate)))
	}
	if crop := v.Crop.Turned(v.Rotation); crop != (probe.Crop{}) {
		w, h, sar := v.Turned()
		// A crop is reckoned once, so that all pictures have to have one size.
		f = append(f, fmt.Sprintf("scale=w=%d:h=%d:eval=frame:interl=-1", w+crop.Left+crop.Right, h+crop.Top+crop.Bottom),
			fmt.Sprintf("crop=%d:%d:%d:%d,setsar=%d/%d", w, h, crop.Left, crop.Top, sar.Num, sar.Den))
	}
	shape := fmt.Sprintf("(iw*sar*%d)", to.SAR.Den)
	target := fmt.Sprintf("(ih*%d)", to.SAR.Num)
	f = append(f,
		fmt.Sprintf(
			"scale=w='2*round(min(%d,%d*%s/%s)/2)':h='2*round(min(%d,%d*%s/%s)/2)'"+
				":eval=frame:interl=-1:flags=bicubic+accurate_rnd+bitexact",
			to.Width, to.Height, shape, target, to.Height, to.Width, target, shape),
		fmt.Sprintf("pad=w=%d:h=%d:x='(ow-iw)/2':y='(oh-ih)/2':eval=frame", to.Width, to.Height),
		fmt.Sprintf("setsar=%d/%d", to.SAR.Num, to.SAR.Den),
		"bwdif=mode=send_frame:deint=interlaced")
	if v.HDR() && !c.Info.Options.KeepHDR {
		f = append(f, "zscale=t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=hable:desat=0",
			"zscale=t=bt709:m=bt709:r=tv")
	}
	return strings.Join(append(f, "format="+pixelFormat(c.Info)), ",")
}

// pixelFormat of the units. What is not 4:2:0 becomes it.
func pixelFormat(info probe.Info) string {
	switch {
	case info.Video.HDR() && info.Options.KeepHDR:
		return "yuv420p10le"
	case info.Video.FullRange && !info.Video.HDR() && info.Video.Matrix != "gbr":
		return "yuvj420p"
	}
	return "yuv420p"
}

// encodeArgs are the arguments of the FFmpeg that encodes the pictures.
func encodeArgs(c Config) []string {
	rate, to, format := c.Decision.Rate, c.Decision.Picture, pixelFormat(c.Info)
	gop := strconv.FormatInt(max(timeline.MulDiv(1, rate.Num, rate.Den), 1), 10)
	profile := "high"
	if format == "yuv420p10le" {
		profile = "high10"
	}
	args := []string{"-f", "rawvideo", "-pix_fmt", format, "-s", fmt.Sprintf("%dx%d", to.Width, to.Height),
		"-framerate", rate.String(), "-i", "pipe:0", "-vf", fmt.Sprintf("setsar=%d/%d", to.SAR.Num, to.SAR.Den),
		"-fps_mode", "passthrough", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-profile:v", profile, "-bf", "2",
		"-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-flags:v", "+cgop+bitexact", "-threads:v", encoderThreads,
		"-x264-params", "open-gop=0:force-cfr=1"}
	args = append(args, colourArgs(c.Info)...)
	args = append(args, "-output_ts_offset", strconv.Itoa(probe.OffsetTicks/timeline.TickRate), "-flush_packets", "1")
	return append(append(args, probe.MuxArgs()...), "pipe:1")
}

// colourArgs tag the pictures as the source is tagged, or as they were mapped.
func colourArgs(info probe.Info) []string {
	v := info.Video
	if v.HDR() && !info.Options.KeepHDR {
		v.Matrix, v.Transfer, v.Primaries, v.FullRange = "bt709", "bt709", "bt709", false
	}
	if v.Matrix == "gbr" {
		v.Matrix, v.FullRange = "", false
	}
	var args []string
	for _, tag := range []struct{ option, value string }{
		{"-colorspace", v.Matrix}, {"-color_trc", v.Transfer}, {"-color_primaries", v.Primaries},
	} {
		if tag.value != "" {
			args = append(args, tag.option, tag.value)
		}
	}
	if v.FullRange {
		return append(args, "-color_range", "pc")
	}
	if len(args) > 0 {
		args = append(args, "-color_range", "tv")
	}
	return args
}

// demux takes the encoded pictures and puts them on the source's clock.
func (f *filmstrip) demux(ctx context.Context) error {
	defer f.encoder.coded.Close()
	d := mpegts.NewDemuxer(f.encoder.coded, &timeline.Unwrapper{})
	rate := f.p.cfg.Decision.Rate
	for {
		unit, err := d.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the encoded pictures: %w", err)
		}
		reorder := unit.PTS - unit.DTS
		unit.PID = videoPID
		unit.PTS = f.pace.ticksOf(timeline.Periods(rate, unit.PTS-probe.OffsetTicks))
		unit.DTS = unit.PTS - reorder
		if err := f.p.send(ctx, unit); err != nil {
			return err
		}
	}
}
