// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// stream is what ffprobe says of one.
type stream struct {
	Type        string `json:"codec_type"`
	Width       int    `json:"width"`
	Height      int    `json:"height"`
	SAR         string `json:"sample_aspect_ratio"`
	PixelFormat string `json:"pix_fmt"`
	Range       string `json:"color_range"`
	Matrix      string `json:"color_space"`
	Transfer    string `json:"color_transfer"`
	Primaries   string `json:"color_primaries"`
	Rate        string `json:"avg_frame_rate"`
	SampleRate  string `json:"sample_rate"`
	Channels    int    `json:"channels"`
	TimeBase    string `json:"time_base"`
	Duration    int64  `json:"duration_ts"`
	SideData    []struct {
		Rotation float64 `json:"rotation"`
	} `json:"side_data_list"`
}

func (s stream) rate() float64 {
	r, err := timeline.ParseRational(s.Rate)
	if err != nil {
		return 0
	}
	return r.Float()
}

type seen struct {
	video stream
	audio []stream
}

// seconds is the length of a stream.
func (s seen) seconds(a stream) float64 {
	base, err := timeline.ParseRational(a.TimeBase)
	if err != nil {
		return 0
	}
	return float64(a.Duration) * base.Float()
}

func inspect(ctx context.Context, path string) (seen, error) {
	args := append([]string{"-of", "json", "-show_streams"}, ffmpeg.Input(path)...)
	out, err := ffmpeg.Output(ctx, ffmpeg.Cmd{Tool: "ffprobe", Args: args})
	if err != nil {
		return seen{}, fmt.Errorf("look at %s: %w", path, err)
	}
	var raw struct{ Streams []stream }
	if err := json.Unmarshal(out, &raw); err != nil {
		return seen{}, fmt.Errorf("look at %s: read ffprobe's answer: %w", path, err)
	}
	var s seen
	videos := 0
	for _, st := range raw.Streams {
		switch st.Type {
		case "video":
			s.video = st
			videos++
		case "audio":
			s.audio = append(s.audio, st)
		}
	}
	if videos != 1 {
		return s, fmt.Errorf("%s has %d video streams instead of one", path, videos)
	}
	return s, nil
}

// decode gives every picture's luma to the caller, and returns the sound, a slice for each channel. It goes on after
// damage, and says so in its error.
func decode(ctx context.Context, path, dir string, s seen, picture func(luma []byte)) ([][]float64, error) {
	wav := filepath.Join(dir, "sound.f32")
	pr, pw := io.Pipe()
	args := append([]string{"-v", "error"}, ffmpeg.Input(path, "-xerror")...)
	args = append(args, "-map", "0:v:0", "-vf", "extractplanes=y,format=gray", "-fps_mode", "passthrough",
		"-f", "rawvideo", "pipe:1")
	if len(s.audio) > 0 {
		args = append(args, "-map", "0:a:0", "-f", "f32le", "-y", "file:"+wav)
	}
	done := make(chan error, 1)
	go func() {
		err := ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", StrictLog: true, Stdout: pw, Args: args})
		done <- err
		pw.Close()
	}()
	in := bufio.NewReaderSize(pr, 1<<18)
	luma := make([]byte, s.video.Width*s.video.Height)
	for {
		if _, err := io.ReadFull(in, luma); err != nil {
			break
		}
		picture(luma)
	}
	pr.Close()
	err := <-done
	if len(s.audio) == 0 {
		return nil, err
	}
	sound, soundErr := readSound(wav, s.audio[0].Channels)
	if err == nil {
		err = soundErr
	}
	return sound, err
}

func readSound(path string, channels int) ([][]float64, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the decoded sound: %w", err)
	}
	if channels == 0 {
		return nil, fmt.Errorf("the sound has no channels")
	}
	out := make([][]float64, channels)
	for i := range len(raw) / 4 {
		v := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		out[i%channels] = append(out[i%channels], float64(v))
	}
	if len(out[0]) == 0 {
		return nil, fmt.Errorf("the sound is empty")
	}
	return out, nil
}
