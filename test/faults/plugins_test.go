// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"encoding/json"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const second = int64(1_000_000)

// moments are the seconds of the media in which something happens. The first one's segment goes over the edge of a
// chunk, the last one's ends with the media.
var moments = []int64{4, 15}

// preroll and postroll surround a moment.
const preroll, postroll = 2 * second, 3 * second

// work is what a worker's plugins put out. It is a pure function of the lease, as plugins should be.
func work(l *api.Lease) api.TaskOutput {
	out := api.TaskOutput{Token: l.Token}
	in := l.Input
	switch l.Kind {
	case api.TaskKindFramer:
		signals := json.RawMessage(fmt.Sprintf(`{"chunk":%d}`, in.Framer.Chunk.Number))
		out.Signals = &signals
	case api.TaskKindFeaturer:
		for _, at := range moments {
			if us := at * second; us >= in.Featurer.Chunk.StartMicros && us < in.Featurer.Chunk.EndMicros {
				out.Results = append(out.Results,
					api.NewResult{StartMicros: us, EndMicros: us, Attributes: map[string]any{"AudioPeak": true, "At": at}})
			}
		}
	case api.TaskKindSegmenter, api.TaskKindFinal:
		out.Segments = segment(in.Segmenter)
	case api.TaskKindOptimizer:
		for _, s := range in.Optimizer.Segments {
			out.Optimized = append(out.Optimized, api.OptimizedMarks{SegmentID: s.ID,
				StartMicros: s.In.Micros - second/2, EndMicros: s.Out.Micros + second/2, StartCode: "Snapped", EndCode: "Snapped"})
		}
	case api.TaskKindLabeler:
		for _, s := range in.Labeler.Segments {
			out.Labels = append(out.Labels, api.SegmentLabel{SegmentID: s.ID, Code: "OK",
				Label: "moment in " + s.ID, Attributes: map[string]any{"Named": true}})
		}
	}
	return out
}

// segment opens a segment at a moment and closes it with the chunk after it.
func segment(in *api.SegmenterInput) []api.SegmentUpdate {
	var out []api.SegmentUpdate
	var id *string
	end, from, last := in.PreviousEndMicros, int64(-1), int64(-1)
	if in.Open != nil {
		id, from = &in.Open.ID, in.Open.In.Micros
	}
	closeAt := func(us int64) {
		out = append(out, api.SegmentUpdate{ID: id, StartMicros: from, EndMicros: &us, Attributes: map[string]any{}})
		end, from, id = us, -1, nil
	}
	for _, d := range in.Dependencies {
		for _, r := range d.Results {
			at := r.Start.Micros
			if at < end || (from >= 0 && at < from) {
				continue
			}
			if from >= 0 && last >= 0 && at > last+preroll+postroll {
				closeAt(last + postroll)
			}
			if from < 0 {
				from = max(at-preroll, end)
			}
			last = at
		}
	}
	if from < 0 {
		return out
	}
	switch {
	case in.Final:
		closeAt(in.Chunk.EndMicros)
	case last < in.Chunk.StartMicros:
		closeAt(last + postroll)
	case id == nil:
		out = append(out, api.SegmentUpdate{StartMicros: from, Attributes: map[string]any{}})
	}
	return out
}
