// SPDX-License-Identifier: Apache-2.0

// Package frames takes the fingerprints of decoded media, so that two files
// can be compared by what a player would show.
package frames

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// Media is what a file decodes to.
type Media struct {
	// Video has the hash of every picture, in the order of presentation.
	Video []string
	// AudioSamples is the number of samples of the first audio track, 0 without one.
	AudioSamples int64
	// SampleRate of the first audio track.
	SampleRate int64
	// Audio is one hash over all samples.
	Audio string
}

// Digest is one hash over every picture and sample.
func (m Media) Digest() string {
	sum := sha256.New()
	for _, h := range m.Video {
		fmt.Fprintln(sum, h)
	}
	fmt.Fprintln(sum, m.AudioSamples, m.Audio)
	return hex.EncodeToString(sum.Sum(nil))
}

// Decode decodes a file and hashes what comes out. Anything that the decoder complains about is an error.
func Decode(ctx context.Context, path string) (Media, error) {
	out, err := ffmpeg.Output(ctx, ffmpeg.Cmd{Tool: "ffmpeg", StrictLog: true, Args: append(ffmpeg.Input(path),
		"-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "pipe:1")})
	if err != nil {
		return Media{}, fmt.Errorf("decode %s: %w", path, err)
	}
	var m Media
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		if line := lines.Text(); !strings.HasPrefix(line, "#") {
			m.Video = append(m.Video, strings.TrimSpace(line[strings.LastIndexByte(line, ',')+1:]))
		}
	}
	return m, m.decodeAudio(ctx, path)
}

func (m *Media) decodeAudio(ctx context.Context, path string) error {
	out, err := ffmpeg.Output(ctx, ffmpeg.Cmd{Tool: "ffprobe", Args: []string{"-select_streams", "a:0",
		"-show_entries", "stream=sample_rate", "-of", "csv=p=0", path}})
	if err != nil {
		return fmt.Errorf("look for audio in %s: %w", path, err)
	}
	rate := strings.TrimSpace(string(out))
	if rate == "" {
		return nil
	}
	if m.SampleRate, err = strconv.ParseInt(rate, 10, 64); err != nil {
		return fmt.Errorf("read the sample rate of %s: %w", path, err)
	}
	samples := &sampleCounter{sum: sha256.New()}
	if err := ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", StrictLog: true, Stdout: samples,
		Args: append(ffmpeg.Input(path), "-map", "0:a:0", "-ac", "1", "-f", "s16le", "pipe:1")}); err != nil {
		return fmt.Errorf("decode the audio of %s: %w", path, err)
	}
	m.AudioSamples, m.Audio = samples.bytes/2, hex.EncodeToString(samples.sum.Sum(nil))
	return nil
}
