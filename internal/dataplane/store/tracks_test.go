// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// twoTracks is the timeline of an Event with a commentary beside the crowd.
func twoTracks() api.Timeline {
	tl := testTimeline()
	tl.AudioTracks = append(tl.AudioTracks,
		api.AudioTrack{Track: 2, StreamIndex: 2, Codec: "aac", SampleRate: 48000, Channels: 2})
	return tl
}

// TestReelOfATrack has two audio tracks. The featurer of sound hears one moment on each, and the optimizer moves marks
// by as many seconds as the track's number: a reel takes what was found on its own track.
func TestReelOfATrack(t *testing.T) {
	heard := map[int32]int64{1: 4, 2: 13}
	for track, moment := range heard {
		h := newHarness(t)
		p := testPlan(h.uid)
		p.Plugins[4].MediaType = api.PlanPluginMediaTypeAudio
		_, err := h.s.PutPlan(h.ctx, h.uid, p)
		h.must(err)
		h.must(h.s.PutTimeline(h.ctx, h.uid, twoTracks()))
		h.ingest(15)
		m := match{moments: []int64{4, 13}}
		h.drainBut(m, func(l *api.Lease, out *api.TaskOutput) bool {
			switch {
			case l.Kind == api.TaskKindFeaturer && l.Input.Featurer.Plugin.Name == "peaks":
				out.Results = match{moments: []int64{heard[l.Input.Featurer.Track]}}.work(l).Results
			case l.Kind == api.TaskKindOptimizer:
				for i, s := range l.Input.Optimizer.Segments {
					out.Optimized[i].StartMicros = s.In.Micros - int64(l.Input.Optimizer.Track)*second
					out.Optimized[i].EndMicros = s.Out.Micros
				}
			}
			return false
		})
		if e := h.event(); e.State != api.EventStateStateComplete {
			t.Fatalf("the Event is %s", e.State)
		}
		rules := replayRules(1, 60)
		rules.AudioTrack = track
		rules.Features = []api.FeatureRule{{Plugin: "peaks", Attribute: "Hit", Weight: 1}}
		r, err := h.s.PutReplay(h.ctx, testReplay, rules)
		h.must(err)
		if r.Selected != 1 {
			t.Fatalf("track %d: %d segments are selected: %+v", track, r.Selected, r.Decisions)
		}
		in := h.lease(api.PoolRender).Input.Reel
		type part struct {
			Track   int32
			In, Out int64
		}
		want := part{track, moment*second - preroll - int64(track)*second, moment*second + postroll}
		if d := cmp.Diff(want, part{in.Track, in.Parts[0].In.Micros, in.Parts[0].Out.Micros}); d != "" {
			t.Errorf("track %d: %s", track, d)
		}
	}
}
