// SPDX-License-Identifier: Apache-2.0

// Package probe looks at a source and decides how it can be ingested: copied
// as it is, or through a mezzanine.
package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Info describes a source.
type Info struct {
	// Container is FFmpeg's name for the format, such as "mov,mp4,m4a,3gp,3g2,mj2".
	Container string
	// DurationMicros is what the container says; 0 when it does not.
	DurationMicros int64
	Video          Video
	Audio          []Audio
	// Scan holds what a look at the packets showed; nil when the video is not
	// H.264, whose packets need no look.
	Scan *Scan
}

// Video is the first video stream.
type Video struct {
	// Index is the container's stream index.
	Index                       int
	Codec, Profile, PixelFormat string
	FieldOrder                  string
	Width, Height               int
	// Rate is the frame rate on the grid of usual rates.
	Rate timeline.Rational
	// Variable says that the container announces no constant rate.
	Variable bool
	// DurationMicros is how long the container says the video is; 0 when it
	// does not say.
	DurationMicros int64
	// Rotated says that the container asks players to turn the picture.
	Rotated bool
}

// Audio is an audio track.
type Audio struct {
	// Track counts audio streams from 1; Index is the container's.
	Track, Index         int
	Codec, Profile       string
	SampleRate, Channels int
	Language             string
}

// Probe opens a file or URL. Its errors are the kinds of package ffmpeg.
func Probe(ctx context.Context, source string) (Info, error) {
	args := append([]string{"-of", "json", "-show_format", "-show_streams"}, ffmpeg.Input(source)...)
	out, err := ffmpeg.Output(ctx, ffmpeg.Cmd{Tool: "ffprobe", Args: args})
	if err != nil {
		if errors.Is(err, ffmpeg.ErrCorrupt) && isEmpty(ctx, source) {
			err = ffmpeg.ErrEmpty
		}
		return Info{}, fmt.Errorf("open %s: %w", ffmpeg.Redact(source), err)
	}
	info, err := parse(out)
	if err != nil {
		return Info{}, fmt.Errorf("open %s: %w", ffmpeg.Redact(source), err)
	}
	if info.Video.Codec == "h264" {
		scan, err := scanPackets(ctx, source, info.Video)
		if err != nil {
			return Info{}, fmt.Errorf("scan %s: %w", ffmpeg.Redact(source), err)
		}
		info.Scan = &scan
	}
	return info, nil
}

// isEmpty tells an empty source from a damaged one.
func isEmpty(ctx context.Context, source string) bool {
	if !strings.HasPrefix(source, "http://") && !strings.HasPrefix(source, "https://") {
		st, err := os.Stat(strings.TrimPrefix(source, "file://"))
		return err == nil && st.Size() == 0
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, source, nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	n, err := io.CopyN(io.Discard, res.Body, 1)
	return res.StatusCode == http.StatusOK && n == 0 && errors.Is(err, io.EOF)
}

type rawStream struct {
	Index       int    `json:"index"`
	Codec       string `json:"codec_name"`
	Profile     string `json:"profile"`
	Type        string `json:"codec_type"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	PixelFormat string `json:"pix_fmt"`
	FieldOrder  string `json:"field_order"`
	RealRate    string `json:"r_frame_rate"`
	AverageRate string `json:"avg_frame_rate"`
	SampleRate  string `json:"sample_rate"`
	Channels    int    `json:"channels"`
	Duration    string `json:"duration"`
	Disposition map[string]int
	Tags        map[string]string `json:"tags"`
	SideData    []rawSideData     `json:"side_data_list"`
}

type rawSideData struct {
	Rotation float64 `json:"rotation"`
}

func parse(out []byte) (Info, error) {
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
	info := Info{Container: raw.Format.Name, Video: Video{Index: -1}}
	if d, err := strconv.ParseFloat(raw.Format.Duration, 64); err == nil {
		info.DurationMicros = int64(math.Round(d * 1e6))
	}
	for _, s := range raw.Streams {
		switch {
		case s.Type == "video" && s.Disposition["attached_pic"] == 0 && info.Video.Index < 0:
			info.Video = videoOf(s)
		case s.Type == "audio" && s.Channels > 0:
			rate, _ := strconv.Atoi(s.SampleRate)
			info.Audio = append(info.Audio, Audio{Track: len(info.Audio) + 1, Index: s.Index, Codec: s.Codec,
				Profile: s.Profile, SampleRate: rate, Channels: s.Channels, Language: s.Tags["language"]})
		}
	}
	if info.Video.Index < 0 {
		return Info{}, ffmpeg.ErrNoVideo
	}
	if info.Video.Width == 0 || info.Video.Codec == "" {
		return Info{}, ffmpeg.ErrCorrupt
	}
	return info, nil
}

func videoOf(s rawStream) Video {
	v := Video{Index: s.Index, Codec: s.Codec, Profile: s.Profile, PixelFormat: s.PixelFormat,
		FieldOrder: s.FieldOrder, Width: s.Width, Height: s.Height}
	v.DurationMicros = durationOf(s)
	for _, d := range s.SideData {
		v.Rotated = v.Rotated || d.Rotation != 0
	}
	average, errA := timeline.ParseRational(s.AverageRate)
	nominal, errR := timeline.ParseRational(s.RealRate)
	switch {
	case errA == nil:
		v.Rate = SnapRate(average)
		// r_frame_rate of interlaced H.264 may be the field rate, and of TS
		// the average is a guess; a real difference means a varying rate.
		v.Variable = errR == nil && SnapRate(nominal) != v.Rate
	case errR == nil:
		v.Rate = SnapRate(nominal)
	default:
		v.Rate, v.Variable = timeline.Rational{Num: 25, Den: 1}, true
	}
	return v
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

// usualRates are the rates that sources are meant to have.
var usualRates = []timeline.Rational{
	{Num: 5, Den: 1}, {Num: 10, Den: 1}, {Num: 12, Den: 1}, {Num: 25, Den: 2}, {Num: 15000, Den: 1001}, {Num: 15, Den: 1},
	{Num: 20, Den: 1}, {Num: 24000, Den: 1001}, {Num: 24, Den: 1}, {Num: 25, Den: 1}, {Num: 30000, Den: 1001}, {Num: 30, Den: 1},
	{Num: 48, Den: 1}, {Num: 50, Den: 1}, {Num: 60000, Den: 1001}, {Num: 60, Den: 1}, {Num: 100, Den: 1}, {Num: 120000, Den: 1001}, {Num: 120, Den: 1},
}

// SnapRate moves a measured rate to the usual rate within 0.04 %: half the
// distance between 30000/1001 and 30. Other rates stay as they are, up to
// 240 frames a second.
func SnapRate(r timeline.Rational) timeline.Rational {
	best, distance := r.Reduce(), 0.0004
	for _, u := range usualRates {
		if d := math.Abs(r.Float()/u.Float() - 1); d <= distance {
			best, distance = u, d
		}
	}
	return best
}
