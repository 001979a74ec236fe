// SPDX-License-Identifier: Apache-2.0

package assemble

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/pcm"
)

// seenStream is what ffprobe counted in one stream.
type seenStream struct {
	Type     string `json:"codec_type"`
	Width    int64  `json:"width"`
	Height   int64  `json:"height"`
	TimeBase string `json:"time_base"`
	Start    int64  `json:"start_pts"`
	Duration int64  `json:"duration_ts"`
	Packets  string `json:"nb_read_packets"`
}

// Lost says in words which frames show another picture than their own.
func (p Proof) Lost() string {
	var s string
	if n := p.Filled - p.Frozen; n > 0 {
		s += fmt.Sprintf("; %d frames that the source lost repeat the one before", n)
	}
	if p.Frozen > 0 {
		s += fmt.Sprintf("; %d frames show the first picture after them, as no picture before is stored", p.Frozen)
	}
	return s
}

// prove counts what is in the finished file and refuses it if it is not
// exactly what was asked for.
func (p *plan) prove(ctx context.Context, outMP4, outJPG string, undecoded int64) (Proof, error) {
	out, err := ffmpeg.Output(ctx, ffmpeg.Cmd{Tool: "ffprobe", Args: append([]string{"-of", "json", "-count_packets",
		"-show_entries", "stream=codec_type,width,height,time_base,start_pts,duration_ts,nb_read_packets"},
		ffmpeg.Input(outMP4)...)})
	if err != nil {
		return Proof{}, fmt.Errorf("prove the output: %w", err)
	}
	var seen struct {
		Streams []seenStream `json:"streams"`
	}
	if err := json.Unmarshal(out, &seen); err != nil {
		return Proof{}, fmt.Errorf("prove the output: read ffprobe's answer: %w", err)
	}
	proof := Proof{Filled: p.Missing + undecoded, Frozen: p.Frozen, Method: "reencode"}
	for _, s := range seen.Streams {
		switch s.Type {
		case "video":
			if proof.Frames, err = strconv.ParseInt(s.Packets, 10, 64); err != nil {
				return proof, fmt.Errorf("prove the output: count frames: %w", err)
			}
			proof.Width, proof.Height = s.Width, s.Height
		case "audio":
			// The duration is what the edit list leaves to be heard, without
			// the encoder's priming and the filling of the last AAC frame.
			if s.Start != 0 || s.TimeBase != "1/"+strconv.Itoa(pcm.Rate) {
				return proof, fmt.Errorf("the sound starts at %d in units of %s s instead of 0 in samples", s.Start, s.TimeBase)
			}
			proof.AudioSamples = s.Duration
		}
	}
	return proof, p.check(proof, outJPG)
}

func (p *plan) check(proof Proof, outJPG string) error {
	if proof.Frames != p.Frames {
		return fmt.Errorf("the output has %d frames instead of %d", proof.Frames, p.Frames)
	}
	if p.spec.Width > 0 && (int64(p.spec.Width) != proof.Width || int64(p.spec.Height) != proof.Height) {
		return fmt.Errorf("the output is %dx%d instead of %dx%d", proof.Width, proof.Height, p.spec.Width, p.spec.Height)
	}
	want := int64(0)
	if p.channels > 0 {
		want = p.samples(p.Frames)
	}
	if proof.AudioSamples != want {
		return fmt.Errorf("the output has %d audio samples instead of %d", proof.AudioSamples, want)
	}
	if outJPG == "" {
		return nil
	}
	if _, err := os.Stat(outJPG); err != nil {
		return fmt.Errorf("the thumbnail was not made: %w", err)
	}
	return nil
}
