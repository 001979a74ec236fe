// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	matchUID  = "7f0c4c52-0000-4000-8000-000000000001"
	replayUID = "7f0c4c52-0000-4000-8000-000000000002"
	// The match has two chunks of one unit each, 25 frames a second.
	unitMicros = 6_000_000
	unitFrames = 150
	origin     = 126_000
)

func plan(uid, source string) api.Plan {
	plugin := func(name string, class api.PlanPluginClass, depends ...string) api.PlanPlugin {
		return api.PlanPlugin{
			Name: name, Class: class, MediaType: api.PlanPluginMediaTypeVideo, Builtin: name,
			Configuration: map[string]any{}, DependsOn: append([]string{}, depends...), Outputs: []string{"Goal"},
			TimeoutSeconds: 60, MaxAttempts: 2, OnFailure: api.PlanPluginOnFailureSkip,
		}
	}
	return api.Plan{
		Hash: "plan-1",
		Event: api.PlanEvent{UID: uid, Namespace: "football", Name: "final", Program: "Cup",
			Profile: "soccer", Start: time.Unix(0, 0).UTC()},
		Source:       api.PlanSource{FileURL: source},
		ChunkSeconds: 6, UnitMicros: unitMicros, MaxSegmentSeconds: 60, GapTimeoutSeconds: 60, DrainTimeoutSeconds: 600,
		Clips:     api.PlanClips{Original: true, Thumbnails: true},
		Segmenter: "moments",
		Plugins: []api.PlanPlugin{plugin("cuts", api.PlanPluginClassFeaturer),
			plugin("moments", api.PlanPluginClassSegmenter, "cuts")},
	}
}

// startMatch stores the plan and the timeline.
func (p *plane) startMatch() {
	p.t.Helper()
	must[*api.PutPlanResponse](p.t, 200)(p.as(manager).PutPlanWithResponse(p.t.Context(),
		matchUID, plan(matchUID, "https://example.com/final.mp4")))
	p.declareTimeline()
}

func (p *plane) declareTimeline() {
	p.t.Helper()
	timeline := api.Timeline{
		OriginTicks: origin, Rate: api.Rational{Num: 25, Den: 1}, Width: 1920, Height: 1080,
		Ingest:      api.TimelineIngestCopy,
		AudioTracks: []api.AudioTrack{{Track: 1, StreamIndex: 1, Codec: "aac", SampleRate: 48000, Channels: 2}},
	}
	must[*api.PutTimelineResponse](p.t, 204)(p.as(agent).PutTimelineWithResponse(p.t.Context(), matchUID, timeline))
}

// ingestMatch uploads and registers the units and ends the source.
func (p *plane) ingestMatch() {
	p.t.Helper()
	for n := range int64(2) {
		p.ingestUnit(n)
	}
	must[*api.EndSourceResponse](p.t, 204)(p.as(agent).EndSourceWithResponse(p.t.Context(),
		matchUID, api.SourceEnd{Frames: 2 * unitFrames}))
}

func unitBody(n int64) []byte { return fmt.Appendf(nil, "unit %d", n) }

func unit(n int64, key string) api.Unit {
	return api.Unit{
		FirstTicks: origin + n*unitFrames*3600, Key: key,
		StartMicros: n * unitMicros, EndMicros: (n + 1) * unitMicros, FirstFrame: n * unitFrames, Frames: unitFrames,
		IdrFrames: []int64{n * unitFrames}, PayloadSHA256: strings.Repeat(fmt.Sprint(n), 64), Bytes: int64(len(unitBody(n))),
	}
}

func (p *plane) ingestUnit(n int64) {
	p.t.Helper()
	ctx, ingest := p.t.Context(), p.as(agent)
	minted := must[*api.MintUnitURLResponse](p.t, 200)(ingest.MintUnitURLWithResponse(ctx, matchUID,
		api.UnitKey{FirstTicks: unit(n, "").FirstTicks})).JSON200
	// A row never names an object that is not there.
	must[*api.RegisterUnitResponse](p.t, 400)(ingest.RegisterUnitWithResponse(ctx, matchUID, unit(n, minted.Key)))
	if status := upload(p.t, *minted, unitBody(n)); status != 200 {
		p.t.Fatalf("upload of unit %d: %d", n, status)
	}
	if status := upload(p.t, *minted, []byte("another")); status != 412 {
		p.t.Errorf("a second upload of unit %d: %d, want 412", n, status)
	}
	for range 2 {
		must[*api.RegisterUnitResponse](p.t, 204)(ingest.RegisterUnitWithResponse(ctx, matchUID, unit(n, minted.Key)))
	}
}

// work does tasks of a pool until there are none left.
func (p *plane) work(pool api.Pool) {
	p.t.Helper()
	for {
		answer := must[*api.LeaseTaskResponse](p.t, 200)(p.as(agent).LeaseTaskWithResponse(p.t.Context(), matchUID,
			api.LeaseRequest{Pool: pool, Holder: "test", WaitSeconds: 1})).JSON200
		if answer.Outcome != api.LeaseResponseOutcomeTask {
			return
		}
		lease := *answer.Lease
		output := p.do(lease)
		output.Token = lease.Token
		must[*api.HeartbeatTaskResponse](p.t, 204)(p.as(agent).HeartbeatTaskWithResponse(p.t.Context(),
			matchUID, lease.TaskID, api.LeaseToken{Token: lease.Token}))
		for range 2 {
			must[*api.CompleteTaskResponse](p.t, 204)(p.as(agent).CompleteTaskWithResponse(p.t.Context(),
				matchUID, lease.TaskID, output))
		}
	}
}

func (p *plane) do(lease api.Lease) api.TaskOutput {
	p.t.Helper()
	input := lease.Input
	switch {
	case input.Framer != nil:
		for _, unit := range input.Framer.Units {
			p.mustReadUnit(unit)
		}
		signals := json.RawMessage(fmt.Sprintf(`{"chunk":%d}`, input.Framer.Chunk.Number))
		return api.TaskOutput{Signals: &signals}
	case input.Featurer != nil:
		start := input.Featurer.Chunk.StartMicros
		return api.TaskOutput{Results: []api.NewResult{{StartMicros: start + 1_000_000,
			EndMicros: start + 2_000_000, Attributes: map[string]any{"Goal": true}}}}
	case input.Segmenter != nil:
		if input.Segmenter.Final {
			return api.TaskOutput{}
		}
		start := input.Segmenter.Chunk.StartMicros
		end := start + 4_000_000
		return api.TaskOutput{Segments: []api.SegmentUpdate{{StartMicros: start + 1_000_000, EndMicros: &end,
			Attributes: map[string]any{"Label": "goal"}}}}
	case input.Clip != nil:
		for _, unit := range input.Clip.Units {
			p.mustReadUnit(unit)
		}
		return api.TaskOutput{Media: p.render(input.Clip.Mp4, input.Clip.Jpg, input.Clip.Out.Frame-input.Clip.In.Frame)}
	case input.Reel != nil:
		frames := int64(0)
		for _, part := range input.Reel.Parts {
			frames += part.Out.Frame - part.In.Frame
			for _, unit := range part.Units {
				p.mustReadUnit(unit)
			}
		}
		return api.TaskOutput{Media: p.render(input.Reel.Mp4, &input.Reel.Jpg, frames)}
	}
	p.t.Fatalf("a lease of a %s without an input that this test knows", lease.Kind)
	return api.TaskOutput{}
}

func (p *plane) mustReadUnit(unit api.UnitRef) {
	p.t.Helper()
	want := string(unitBody(unit.FirstFrame / unitFrames))
	if status, body := download(p.t, unit.URL); status != 200 || body != want {
		p.t.Errorf("unit %s: %d %q, want %q", unit.Key, status, body, want)
	}
}

func (p *plane) render(mp4 api.Upload, jpg *api.Upload, frames int64) *api.MediaProof {
	p.t.Helper()
	for _, to := range []*api.Upload{&mp4, jpg} {
		if to == nil {
			continue
		}
		if first, second := upload(p.t, *to, []byte(to.Key)),
			upload(p.t, *to, []byte("late")); first != 200 || second != 412 {
			p.t.Errorf("uploads of %s: %d, then %d", to.Key, first, second)
		}
	}
	proof := &api.MediaProof{
		Key: mp4.Key, Frames: frames, Width: 1920, Height: 1080, Bytes: int64(len(mp4.Key)),
		DurationMicros: frames * 40_000, Method: api.MediaProofMethodReencode, MethodReason: "test",
	}
	if jpg != nil {
		proof.ThumbnailKey = &jpg.Key
	}
	return proof
}

// waitState asks until the Event has a state.
func (p *plane) waitState(want api.EventStateState) api.EventState {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		state := must[*api.GetEventResponse](p.t, 200)(p.as(viewer).GetEventWithResponse(p.t.Context(), matchUID)).JSON200
		if state.State == want {
			return *state
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the Event is %s, not %s: %+v", state.State, want, state)
		}
	}
}

// playMatch takes the Event from its plan to Complete.
func (p *plane) playMatch() api.EventState {
	p.t.Helper()
	p.startMatch()
	p.ingestMatch()
	p.work(api.PoolWork)
	p.work(api.PoolRender)
	return p.waitState(api.EventStateStateComplete)
}
