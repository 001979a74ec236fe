// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
)

func TestMatchFromPlanToDeletion(t *testing.T) {
	p := start(t)
	ctx, admin, look := t.Context(), p.as(manager), p.as(viewer)
	state := p.playMatch()
	if state.Progress.SegmentsComplete != 2 || state.Progress.ClipsRendered != 2 || state.Progress.ChunksProcessed != 2 {
		t.Errorf("progress %+v", state.Progress)
	}

	// What people see.
	clips := must[*api.ListClipsResponse](t, 200)(look.ListClipsWithResponse(ctx, matchUID, nil)).JSON200.Items
	if len(clips) != 2 || clips[0].Location == nil {
		t.Fatalf("clips %+v", clips)
	}
	link := must[*api.MintDownloadURLResponse](t, 200)(look.MintDownloadURLWithResponse(ctx, matchUID,
		api.Location{Location: *clips[0].Location})).JSON200
	if status, body := download(t, link.URL); status != 200 || !strings.HasSuffix(*clips[0].Location, body) {
		t.Errorf("download of %s: %d %q", *clips[0].Location, status, body)
	}
	limit := api.Limit(1)
	first := must[*api.ListUnitsResponse](t, 200)(look.ListUnitsWithResponse(ctx, matchUID,
		&api.ListUnitsParams{Limit: &limit})).JSON200
	rest := must[*api.ListUnitsResponse](t, 200)(look.ListUnitsWithResponse(ctx, matchUID,
		&api.ListUnitsParams{Limit: &limit, Continue: first.Continue})).JSON200
	if len(first.Items) != 1 || len(rest.Items) != 1 || rest.Continue != nil {
		t.Errorf("pages of units: %+v, %+v", first, rest)
	}
	results := must[*api.ListResultsResponse](t, 200)(look.ListResultsWithResponse(ctx, matchUID, nil)).JSON200.Items
	chunks := must[*api.ListChunksResponse](t, 200)(look.ListChunksWithResponse(ctx, matchUID, nil)).JSON200.Items
	segments := must[*api.ListSegmentsResponse](t, 200)(look.ListSegmentsWithResponse(ctx, matchUID, nil)).JSON200.Items
	tasks := must[*api.ListTasksResponse](t, 200)(look.ListTasksWithResponse(ctx, matchUID, nil)).JSON200.Items
	if len(results) != 2 || len(chunks) != 2 || len(segments) != 2 || len(tasks) < 9 {
		t.Errorf("%d results, %d chunks, %d segments, %d tasks", len(results), len(chunks), len(segments), len(tasks))
	}

	// Exports, live and as they were written at the end.
	live := must[*api.ExportEventResponse](t, 200)(look.ExportEventWithResponse(ctx, matchUID))
	if !json.Valid(live.Body) || live.Body[0] != '{' {
		t.Errorf("the export is no JSON object: %.80s", live.Body)
	}
	list := must[*api.ExportEDLResponse](t, 200)(look.ExportEDLWithResponse(ctx, matchUID, nil))
	if !strings.HasPrefix(string(list.Body), "TITLE:") {
		t.Errorf("the EDL begins with %.40q", list.Body)
	}
	if state.ExportLocation == nil || *state.ExportLocation != p.bucket.Location(keys.EventExport("football", matchUID)) ||
		len(state.EdlLocations) != 1 {
		t.Errorf("export locations %v %v", state.ExportLocation, state.EdlLocations)
	}

	// A Replay of the finished Event.
	rules := api.ReplayRules{
		EventUID: matchUID, Namespace: "football", Name: "highlights", Generation: 1, AudioTrack: 1,
		Features:    []api.FeatureRule{{Plugin: "cuts", Attribute: "Goal", Weight: 50}},
		ByDuration:  api.ByDuration{DurationSeconds: 6, ToleranceSeconds: 3, Distribution: api.ByDurationDistributionByScore},
		Resolutions: []string{"1280x720"},
	}
	must[*api.PutReplayResponse](t, 200)(admin.PutReplayWithResponse(ctx, replayUID, rules))
	p.work(api.PoolRender)
	replay := must[*api.GetReplayResponse](t, 200)(look.GetReplayWithResponse(ctx, replayUID)).JSON200
	if replay.State != api.ReplayStateStateRendered || len(replay.Outputs) != 1 || replay.Outputs[0].Location == nil {
		t.Fatalf("replay %+v", replay)
	}
	changes := must[*api.ListChangesResponse](t, 200)(admin.ListChangesWithResponse(ctx, &api.ListChangesParams{})).JSON200
	if len(changes.Changes) != 2 {
		t.Errorf("changes %+v", changes)
	}

	// Gone, step by step.
	soft := &api.DeleteEventParams{Policy: api.DeletionPolicyDelete}
	if got := must[*api.DeleteEventResponse](t, 200)(admin.DeleteEventWithResponse(ctx, matchUID, soft)).
		JSON200; got.Done || got.Remaining == "" {
		t.Errorf("tombstoned: %+v", got)
	}
	late := must[*api.RegisterUnitResponse](t, 410)(p.as(agent).RegisterUnitWithResponse(ctx, matchUID,
		unit(1, keys.Unit("football", matchUID, 0, unit(1, "").FirstTicks))))
	if late.ApplicationProblemJSONDefault.Code != api.ProblemCodeGone {
		t.Errorf("a late call: %+v", late.ApplicationProblemJSONDefault)
	}
	p.purge(api.DeletionPolicyDelete)
	if left := p.stored(); len(left) != 0 {
		t.Errorf("objects left: %v", left)
	}
	must[*api.GetEventResponse](t, 410)(look.GetEventWithResponse(ctx, matchUID))
	must[*api.PutPlanResponse](t, 410)(admin.PutPlanWithResponse(ctx, matchUID,
		plan(matchUID, "https://example.com/final.mp4")))
	must[*api.GetReplayResponse](t, 404)(look.GetReplayWithResponse(ctx, replayUID))
	must[*api.PutReplayResponse](t, 410)(admin.PutReplayWithResponse(ctx, replayUID, rules))
	gone := must[*api.DeleteReplayResponse](t, 200)(admin.DeleteReplayWithResponse(ctx, replayUID,
		&api.DeleteReplayParams{Policy: api.DeletionPolicyDelete})).JSON200
	if !gone.Done {
		t.Errorf("the Replay of a deleted Event: %+v", gone)
	}
}

// purge repeats the deletion as the manager does, and once more than needed.
func (p *plane) purge(policy api.DeletionPolicy) {
	p.t.Helper()
	params := &api.DeleteEventParams{Policy: policy, Purge: true}
	for calls := 0; ; calls++ {
		state := must[*api.DeleteEventResponse](p.t, 200)(p.as(manager).DeleteEventWithResponse(p.t.Context(),
			matchUID, params)).JSON200
		if state.Done {
			break
		}
		if calls == 10 {
			p.t.Fatalf("the deletion does not end: %s", state.Remaining)
		}
	}
	if state := must[*api.DeleteEventResponse](p.t, 200)(p.as(manager).DeleteEventWithResponse(p.t.Context(), matchUID,
		params)).JSON200; !state.Done {
		p.t.Errorf("a repeat after the end: %+v", state)
	}
}

func TestWhatIsRetainedIsListed(t *testing.T) {
	p := start(t)
	p.playMatch()
	before := p.stored()
	p.purge(api.DeletionPolicyRetainOutputs)
	list := keys.Retained("football", matchUID)
	var want []string
	for _, key := range before {
		if !strings.Contains(key, "/units/") {
			want = append(want, key)
		}
	}
	want = append(want, list)
	slices.Sort(want)
	if diff := cmp.Diff(want, p.stored()); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
	body, err := p.bucket.Get(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var retained struct{ Objects []string }
	if err := json.NewDecoder(body).Decode(&retained); err != nil {
		t.Fatal(err)
	}
	if len(retained.Objects) != len(want)-1 {
		t.Errorf("retained.json lists %v", retained.Objects)
	}
}

func TestDeletingAReplayTakesItsReels(t *testing.T) {
	for policy, kept := range map[api.DeletionPolicy]int{api.DeletionPolicyDelete: 0, api.DeletionPolicyRetainOutputs: 2} {
		t.Run(string(policy), func(t *testing.T) {
			p := start(t)
			p.playMatch()
			must[*api.PutReplayResponse](t, 200)(p.as(manager).PutReplayWithResponse(t.Context(), replayUID, api.ReplayRules{
				EventUID: matchUID, Namespace: "football", Name: "highlights", Generation: 1, AudioTrack: 1,
				Features: []api.FeatureRule{{Plugin: "cuts", Attribute: "Goal", Weight: 50}},
				ByDuration: api.ByDuration{DurationSeconds: 6, ToleranceSeconds: 3,
					Distribution: api.ByDurationDistributionByScore}, Resolutions: []string{"1280x720"},
			}))
			p.work(api.PoolRender)
			for range 2 {
				state := must[*api.DeleteReplayResponse](t, 200)(p.as(manager).DeleteReplayWithResponse(t.Context(), replayUID,
					&api.DeleteReplayParams{Policy: policy})).JSON200
				if !state.Done {
					t.Errorf("%+v", state)
				}
			}
			reels := 0
			for _, key := range p.stored() {
				if strings.Contains(key, "/reels/") {
					reels++
				}
			}
			if reels != kept {
				t.Errorf("%d objects of reels left, want %d", reels, kept)
			}
			must[*api.GetReplayResponse](t, 410)(p.as(viewer).GetReplayWithResponse(t.Context(), replayUID))
		})
	}
}

func TestALongPollWakesUp(t *testing.T) {
	p := start(t)
	p.startMatch()
	began := time.Now()
	leased := make(chan *api.LeaseTaskResponse, 1)
	go func() {
		answer, _ := p.as(agent).LeaseTaskWithResponse(t.Context(),
			matchUID, api.LeaseRequest{Pool: api.PoolWork, Holder: "test", WaitSeconds: 20})
		leased <- answer
	}()
	time.Sleep(100 * time.Millisecond)
	p.ingestMatch()
	answer := must[*api.LeaseTaskResponse](t, 200)(<-leased, nil)
	if answer.JSON200.Outcome != api.LeaseResponseOutcomeTask || time.Since(began) > 4*time.Second {
		t.Errorf("after %s: %+v", time.Since(began), answer.JSON200)
	}
}

// A worker that found the object store away did not fail, whatever it says of a repeat.
func TestStoreAwayIsNoFailure(t *testing.T) {
	p := start(t)
	p.startMatch()
	p.ingestMatch()
	lease := must[*api.LeaseTaskResponse](t, 200)(p.as(agent).LeaseTaskWithResponse(t.Context(), matchUID,
		api.LeaseRequest{Pool: api.PoolWork, Holder: "test"})).JSON200.Lease
	must[*api.FailTaskResponse](t, 204)(p.as(agent).FailTaskWithResponse(t.Context(), matchUID, lease.TaskID,
		api.TaskFailure{Token: lease.Token, Message: "the object store is away", StoreAway: new(true)}))
	for _, task := range must[*api.ListTasksResponse](t, 200)(p.as(viewer).ListTasksWithResponse(t.Context(),
		matchUID, nil)).JSON200.Items {
		if task.ID == lease.TaskID && (task.State != api.TaskStateReady || task.Attempts != 0 || task.DueAt == nil) {
			t.Errorf("%+v", task)
		}
	}
}

func TestShutdownEndsLongPolls(t *testing.T) {
	p := start(t)
	p.startMatch()
	began := time.Now()
	ended := make(chan *api.LeaseTaskResponse, 1)
	go func() {
		answer, _ := p.as(agent).LeaseTaskWithResponse(t.Context(),
			matchUID, api.LeaseRequest{Pool: api.PoolWork, Holder: "test", WaitSeconds: 20})
		ended <- answer
	}()
	time.Sleep(100 * time.Millisecond)
	if err := p.stop(); err != nil {
		t.Error(err)
	}
	answer := must[*api.LeaseTaskResponse](t, 200)(<-ended, nil)
	if answer.JSON200.Outcome != api.LeaseResponseOutcomeIdle || time.Since(began) > 5*time.Second {
		t.Errorf("after %s: %+v", time.Since(began), answer.JSON200)
	}
}

func TestMetricsHaveBoundedLabels(t *testing.T) {
	p := start(t)
	p.startMatch()
	if response, err := http.Get(p.url + "/v1/events/" + matchUID + "/no-such-path"); err == nil {
		response.Body.Close()
	}
	wanted := []string{
		`mre_dataplane_requests_total{code="200",operation="PutPlan"} 1`,
		`mre_dataplane_requests_total{code="404",operation="unknown"} 1`,
		`mre_dataplane_request_duration_seconds_count{operation="PutTimeline"} 1`,
		`mre_dataplane_loop_runs_total{loop="housekeeping",result="ok"}`,
	}
	var body string
	lacks := func() bool {
		var status int
		if status, body = download(t, p.metrics); status != 200 {
			t.Fatalf("metrics answer %d", status)
		}
		wanted = slices.DeleteFunc(wanted, func(want string) bool { return strings.Contains(body, want) })
		return len(wanted) > 0
	}
	// The loops run beside the calls.
	for deadline := time.Now().Add(time.Minute); lacks(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %q", wanted)
		}
	}
	if strings.Contains(body, matchUID) {
		t.Error("a label holds an Event's UID")
	}
}
