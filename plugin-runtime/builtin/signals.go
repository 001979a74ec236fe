// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/signals"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// stretches joins the signals of a run's chunks. Where a chunk is missing, a
// new stretch begins: what happened across the hole is not known.
func stretches(in api.FeaturerInput) ([]signals.Signals, error) {
	if len(in.Signals) == 0 || in.Signals[len(in.Signals)-1].Chunk.Number != in.Chunk.Number {
		return nil, errors.New("the input has no signals of the chunk itself")
	}
	var out []signals.Signals
	for i, part := range in.Signals {
		var s signals.Signals
		if err := json.Unmarshal(part.Signals, &s); err != nil {
			return nil, fmt.Errorf("signals of chunk %d: %w", part.Chunk.Number, err)
		}
		if i == 0 || !follows(out[len(out)-1], s, in.Signals[i-1].Chunk, part.Chunk) {
			out = append(out, s)
			continue
		}
		joined, err := signals.Join(out[len(out)-1], s)
		if err != nil {
			return nil, fmt.Errorf("signals of chunk %d: %w", part.Chunk.Number, err)
		}
		out[len(out)-1] = joined
	}
	return out, nil
}

// follows says whether nothing is missing between two chunks: their numbers or
// their frames are adjacent. Chunks between them may be empty, and a chunk may
// have lost its last frames.
func follows(prev, cur signals.Signals, prevChunk, curChunk api.ChunkExtent) bool {
	return prevChunk.Number+1 == curChunk.Number || prev.FirstFrame+prev.Frames == cur.FirstFrame
}

// fullScale is the largest difference of the signals: 256 steps of luma in
// thousandths, as scdet counts.
const fullScale = 256_000

// frameDiffs are the differences of the frames of the run's chunks.
func frameDiffs(in api.FeaturerInput) ([]frameDiff, error) {
	parts, err := stretches(in)
	if err != nil {
		return nil, err
	}
	var out []frameDiff
	for _, s := range parts {
		for i, d := range s.Diffs {
			out = append(out, frameDiff{s.FirstFrame + 1 + int64(i), 100 * float64(d) / fullScale})
		}
	}
	return out, nil
}

// levelWindows are the levels of the run's track. A window belongs to the
// chunk in which it ends: only there all its samples are known.
func levelWindows(in api.FeaturerInput) (levels, error) {
	parts, err := stretches(in)
	if err != nil {
		return levels{}, err
	}
	const w = signals.WindowMicros
	tl := in.Timeline.ClosedClock()
	out := levels{
		period: w,
		from:   timeline.MulDivFloor(in.Chunk.StartMicros, 1, w),
		to:     timeline.MulDivFloor(in.Chunk.EndMicros, 1, w) - 1,
		whole:  tl.Frames >= 0 && in.Chunk.FirstFrame+in.Chunk.Frames >= tl.Frames,
		fresh:  parts[0].FirstFrame == 0,
	}
	for i, s := range parts {
		last := i == len(parts)-1
		// Windows that reach out of the stretch are incomplete, unless the
		// source begins or ends there.
		first, end := int64(0), timeline.MulDivFloor(tl.FrameStartMicros(s.FirstFrame+s.Frames), 1, w)
		if s.FirstFrame > 0 {
			first = timeline.MulDivFloor(tl.FrameStartMicros(s.FirstFrame)+w-1, 1, w)
		}
		for _, t := range s.Tracks {
			if t.Track != int(in.Track) {
				continue
			}
			for j, level := range t.Levels {
				k := t.FirstWindow + int64(j)
				if k < first || (k >= end && (!last || !out.whole)) {
					continue
				}
				out.index, out.db = append(out.index, k), append(out.db, float64(level)/100)
			}
		}
	}
	return out, nil
}
