// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"fmt"
	"math"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// sceneChange finds cuts as FFmpeg's scdet filter does
// (libavfilter/vf_scdet.c): with mafd the mean absolute difference of a frame
// to the one before it, in percent of full scale, a frame's score is
// min(mafd, |mafd − mafd of the frame before|). The second term tells a cut,
// which differs once, from motion, which differs all the time.
//
// Of candidates closer than minSeconds the first counts: flashes come in
// bursts. The rule looks back at candidates, not at accepted cuts, so that it
// needs no memory beyond minSeconds.
type sceneChange struct{}

func (sceneChange) Class() api.PlanPluginClass            { return api.PlanPluginClassFeaturer }
func (sceneChange) MediaTypes() []api.PlanPluginMediaType { return onlyVideo }
func (sceneChange) Outputs() []string                     { return []string{"SceneChange", "score"} }

type sceneChangeConfig struct {
	threshold float64
	apart     int64
}

func (sceneChange) parse(config map[string]any) (sceneChangeConfig, error) {
	r := read(config)
	c := sceneChangeConfig{
		threshold: r.number("threshold", 10, 0.1, 100),
		apart:     r.micros("minSeconds", 0.2, 0, 10),
	}
	return c, r.err()
}

func (s sceneChange) Validate(config map[string]any) error {
	_, err := s.parse(config)
	return err
}

func (s sceneChange) LookbackChunks(config map[string]any, chunkSeconds int32) int32 {
	c, _ := s.parse(config)
	return lookback(c.apart, chunkSeconds)
}

// Feature reports the cuts of the run's own chunk.
func (s sceneChange) Feature(in api.FeaturerInput) ([]api.NewResult, error) {
	c, err := s.parse(in.Plugin.Configuration)
	if err != nil {
		return nil, err
	}
	diffs, err := frameDiffs(in)
	if err != nil {
		return nil, fmt.Errorf("scene-change: %w", err)
	}
	tl := in.Timeline.ClosedClock()
	results := []api.NewResult{}
	for _, cut := range c.cuts(diffs, tl.FrameOfMicros(c.apart)) {
		if cut.frame < in.Chunk.FirstFrame || cut.frame >= in.Chunk.FirstFrame+in.Chunk.Frames {
			continue
		}
		at := tl.FrameStartMicros(cut.frame)
		results = append(results, api.NewResult{StartMicros: at, EndMicros: at,
			Attributes: map[string]any{"SceneChange": true, "score": math.Round(cut.percent*100) / 100}})
	}
	return results, nil
}

// frameDiff is how much a frame differs from the one before it, or its score.
type frameDiff struct {
	frame   int64
	percent float64
}

// cuts returns the frames that begin a shot, with their scores.
func (c sceneChangeConfig) cuts(diffs []frameDiff, apart int64) []frameDiff {
	var out []frameDiff
	last := int64(math.MinInt64 / 2)
	for i, d := range diffs {
		before := 0.0
		switch {
		case d.frame == 0:
			// Nothing precedes it, so it is no cut.
			continue
		case i > 0 && diffs[i-1].frame == d.frame-1:
			before = diffs[i-1].percent
		case d.frame > 1:
			// The chunk before is missing: whether this is motion is not
			// known.
			continue
		}
		score := min(d.percent, math.Abs(d.percent-before))
		if score < c.threshold {
			continue
		}
		if d.frame-last >= apart {
			out = append(out, frameDiff{d.frame, score})
		}
		last = d.frame
	}
	return out
}
