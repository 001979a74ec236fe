// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

type rawStream struct {
	Index       int    `json:"index"`
	Codec       string `json:"codec_name"`
	Tag         string `json:"codec_tag_string"`
	Profile     string `json:"profile"`
	Type        string `json:"codec_type"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	SAR         string `json:"sample_aspect_ratio"`
	PixelFormat string `json:"pix_fmt"`
	FieldOrder  string `json:"field_order"`
	Range       string `json:"color_range"`
	Matrix      string `json:"color_space"`
	Transfer    string `json:"color_transfer"`
	Primaries   string `json:"color_primaries"`
	RealRate    string `json:"r_frame_rate"`
	AverageRate string `json:"avg_frame_rate"`
	SampleRate  string `json:"sample_rate"`
	Channels    int    `json:"channels"`
	Layout      string `json:"channel_layout"`
	Duration    string `json:"duration"`
	Disposition map[string]int
	Tags        map[string]string `json:"tags"`
	SideData    []rawSideData     `json:"side_data_list"`
}

type rawSideData struct {
	Rotation float64 `json:"rotation"`
}

// parse reads ffprobe's answer.
func parse(ctx context.Context, out []byte, o Options) (Info, error) {
	var raw struct {
		Streams []rawStream `json:"streams"`
		Format  struct {
			Name     string `json:"format_name"`
			Duration string `json:"duration"`
		} `json:"format"`
	}
	if err := json.Unmarshal(out, &raw); err != nil {
		return Info{}, fmt.Errorf("read ffprobe's answer: %w", err)
	}
	info := Info{Container: raw.Format.Name}
	if d, err := strconv.ParseFloat(raw.Format.Duration, 64); err == nil {
		info.DurationMicros = int64(math.Round(d * 1e6))
	}
	film := chooseVideo(raw.Streams)
	if film == nil {
		return Info{}, ffmpeg.ErrNoVideo
	}
	info.Video = videoOf(*film)
	if info.Video.Width == 0 || info.Video.Codec == "" {
		return Info{}, ffmpeg.ErrCorrupt
	}
	decodable, err := decodableOf(ctx, raw.Streams)
	if err != nil {
		return Info{}, err
	}
	if !decodable[info.Video.Codec] {
		return Info{}, fmt.Errorf("%w: the video is %s", ffmpeg.ErrNoDecoder, info.Video.Codec)
	}
	return info, chooseAudio(&info, raw.Streams, decodable, o.Audio)
}

// chooseVideo takes the stream that the container calls the default one, and
// the largest of several. Attached pictures are never the film.
func chooseVideo(streams []rawStream) *rawStream {
	var best *rawStream
	rank := func(s *rawStream) int { return s.Disposition["default"]<<40 + s.Width*s.Height }
	for i := range streams {
		s := &streams[i]
		if s.Type != "video" || s.Disposition["attached_pic"] != 0 || s.Disposition["timed_thumbnails"] != 0 ||
			s.Disposition["still_image"] != 0 {
			continue
		}
		if best == nil || rank(s) > rank(best) {
			best = s
		}
	}
	return best
}

// chooseAudio takes the streams that the user asks for, or all that something
// here decodes.
func chooseAudio(info *Info, streams []rawStream, decodable map[string]bool, wanted []Selection) error {
	leave := func(s rawStream, why string) {
		info.LeftOut = append(info.LeftOut, fmt.Sprintf("stream %d (%s): %s", s.Index, streamName(s), why))
	}
	if len(wanted) == 0 {
		for _, s := range streams {
			switch {
			case s.Type != "audio":
			case !decodable[s.Codec]:
				leave(s, "no decoder here knows this codec")
			case s.Channels == 0:
				leave(s, "it has no sound that can be decoded")
			default:
				info.Audio = append(info.Audio, audioOf(s, len(info.Audio)+1))
			}
		}
		return nil
	}
	for _, w := range wanted {
		i := slices.IndexFunc(streams, func(s rawStream) bool { return s.Index == w.Stream && s.Type == "audio" })
		if i < 0 {
			return fmt.Errorf("%w: spec.source.file.audio names stream %d, which is no audio stream of the source; it has %s",
				ErrSelection, w.Stream, audioStreams(streams))
		}
		s := streams[i]
		if !decodable[s.Codec] || s.Channels == 0 {
			return fmt.Errorf("%w: spec.source.file.audio names stream %d (%s), which no decoder here knows",
				ErrSelection, w.Stream, streamName(s))
		}
		for _, c := range w.Channels {
			if c < 1 || c > s.Channels {
				return fmt.Errorf("%w: spec.source.file.audio names channel %d of stream %d, which has %d",
					ErrSelection, c, w.Stream, s.Channels)
			}
		}
		a := audioOf(s, len(info.Audio)+1)
		if len(w.Channels) > 0 {
			a.Select = w.Channels
		}
		info.Audio = append(info.Audio, a)
	}
	return nil
}

func audioStreams(streams []rawStream) string {
	var names []string
	for _, s := range streams {
		if s.Type == "audio" {
			names = append(names, fmt.Sprintf("%d (%s)", s.Index, streamName(s)))
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

func streamName(s rawStream) string {
	if s.Codec != "" {
		return s.Codec
	}
	if s.Tag != "" {
		return s.Tag
	}
	return "unknown codec"
}

func audioOf(s rawStream, track int) Audio {
	rate, _ := strconv.Atoi(s.SampleRate)
	a := Audio{Track: track, Index: s.Index, Codec: s.Codec, Profile: s.Profile, SampleRate: rate,
		Channels: s.Channels, Layout: s.Layout, Language: s.Tags["language"]}
	// Channels of PCM may be without a meaning: the programme is usually in the
	// first two. Of other codecs the number says enough, up to 7.1.
	named := known(a.Layout) != "" && !strings.HasSuffix(a.Layout, "channels")
	if discrete := strings.HasPrefix(a.Codec, "pcm_") || a.Channels > 8; a.Channels > 2 && discrete && !named {
		a.Select = []int{1, 2}
	}
	return a
}

func videoOf(s rawStream) Video {
	v := Video{Index: s.Index, Codec: s.Codec, Profile: s.Profile, PixelFormat: s.PixelFormat,
		FieldOrder: s.FieldOrder, Width: s.Width, Height: s.Height, SAR: timeline.Rational{Num: 1, Den: 1},
		FullRange: s.Range == "pc" || strings.HasPrefix(s.PixelFormat, "yuvj"),
		Matrix:    known(s.Matrix), Transfer: known(s.Transfer), Primaries: known(s.Primaries)}
	v.DurationMicros = durationOf(s)
	if sar, err := timeline.ParseRational(strings.ReplaceAll(s.SAR, ":", "/")); err == nil {
		v.SAR = sar
	}
	for _, d := range s.SideData {
		// Only quarter turns are obeyed.
		if turn := int(math.Round(d.Rotation/90)) * 90; turn != 0 {
			v.Rotation = (turn%360 + 360) % 360
		}
	}
	// r_frame_rate is the rate by which the container counts; the average says
	// something of the pictures that are missing.
	if nominal, err := timeline.ParseRational(s.RealRate); err == nil {
		v.nominal = SnapRate(nominal)
	} else if average, err := timeline.ParseRational(s.AverageRate); err == nil {
		v.nominal = SnapRate(average)
	}
	return v
}

// known is empty for what ffprobe does not know.
func known(name string) string {
	if name == "unknown" || name == "reserved" {
		return ""
	}
	return name
}

// durationOf reads a stream's own duration: seconds, or the tag hh:mm:ss.fff
// of Matroska.
func durationOf(s rawStream) int64 {
	if d, err := strconv.ParseFloat(s.Duration, 64); err == nil {
		return int64(math.Round(d * 1e6))
	}
	var h, m int64
	var sec float64
	if n, err := fmt.Sscanf(s.Tags["DURATION"], "%d:%d:%f", &h, &m, &sec); n != 3 || err != nil {
		return 0
	}
	return (h*3600+m*60)*1_000_000 + int64(math.Round(sec*1e6))
}

// usualCodecs are decoded by every FFmpeg, so that most sources need not ask.
var usualCodecs = map[string]bool{
	"h264": true, "hevc": true, "mpeg2video": true, "mpeg4": true, "prores": true, "vp9": true, "dvvideo": true,
	"aac": true, "ac3": true, "eac3": true, "mp2": true, "mp3": true, "pcm_s16le": true, "pcm_s16be": true,
	"pcm_s24le": true, "pcm_s24be": true, "opus": true, "vorbis": true, "flac": true,
}

// decodableOf says which of the streams' codecs can be decoded here.
func decodableOf(ctx context.Context, streams []rawStream) (map[string]bool, error) {
	for _, s := range streams {
		if (s.Type == "video" || s.Type == "audio") && s.Codec != "" && !usualCodecs[s.Codec] {
			return decoders(ctx)
		}
	}
	return usualCodecs, nil
}

// decoders are the codecs that the ffmpeg of this image decodes. They are
// asked for once.
var decoders = func() func(ctx context.Context) (map[string]bool, error) {
	var mu sync.Mutex
	var known map[string]bool
	return func(ctx context.Context) (map[string]bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if known != nil {
			return known, nil
		}
		out, err := ffmpeg.Output(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Args: []string{"-codecs"}})
		if err != nil {
			return nil, fmt.Errorf("ask FFmpeg for its decoders: %w", err)
		}
		found := map[string]bool{}
		for line := range strings.Lines(string(out)) {
			// " DEA.L. aac    AAC (Advanced Audio Coding)"
			fields := strings.Fields(line)
			if len(fields) >= 2 && len(fields[0]) == 6 && fields[0][0] == 'D' {
				found[fields[1]] = true
			}
		}
		known = found
		return known, nil
	}
}()
