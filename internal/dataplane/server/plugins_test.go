// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// startContainers is startMatch with the featurer in a container of a pool.
func (p *plane) startContainers() {
	p.t.Helper()
	compiled := plan(matchUID, "https://example.com/final.mp4")
	compiled.Plugins[0].Builtin = ""
	compiled.Plugins[0].Container = &api.PlanContainer{Pool: "gpu",
		Protocol: api.PlanContainerProtocolLambdaRuntime, StartTimeoutSeconds: 60}
	compiled.Variables = map[string]string{"score": "0"}
	must[*api.PutPlanResponse](p.t, 200)(p.as(manager).PutPlanWithResponse(p.t.Context(), matchUID, compiled))
	p.declareTimeline()
}

// TestAPluginInAContainer is what the agent of one does, over HTTP.
func TestAPluginInAContainer(t *testing.T) {
	p := start(t)
	p.startContainers()
	p.ingestMatch()
	ctx, worker := t.Context(), p.as(agent)

	compiled := must[*api.GetPlanResponse](t, 200)(worker.GetPlanWithResponse(ctx, matchUID)).JSON200
	if compiled.Plugins[0].Container == nil || compiled.Plugins[0].Container.Pool != "gpu" {
		t.Errorf("plan: %+v", compiled.Plugins[0])
	}
	lease := must[*api.LeaseTaskResponse](t, 200)(worker.LeaseTaskWithResponse(ctx, matchUID,
		api.LeaseRequest{Pool: api.WorkerPool("gpu"), Holder: "test"})).JSON200.Lease
	if lease == nil || lease.Media == nil || len(lease.Media.Units) != 1 {
		t.Fatalf("leased %+v", lease)
	}
	for _, unit := range lease.Media.Units {
		p.mustReadUnit(unit)
	}

	swap := func(expected, value string) api.VariableSwapResult {
		t.Helper()
		was := json.RawMessage(expected)
		return *must[*api.SwapVariableResponse](t, 200)(worker.SwapVariableWithResponse(ctx, matchUID, lease.TaskID,
			api.VariableSwap{Token: lease.Token, Name: "score", Expected: &was, Value: json.RawMessage(value)})).JSON200
	}
	if r := swap(`"0"`, `1`); !r.Swapped || string(*r.Current) != "1" {
		t.Errorf("%+v", r)
	}
	if r := swap(`7`, `8`); r.Swapped || string(*r.Current) != "1" {
		t.Errorf("%+v", r)
	}
	// A task that was not begun goes back for nothing, any other counts as a loss.
	for _, untried := range []bool{true, false} {
		must[*api.ReleaseTaskResponse](t, 204)(worker.ReleaseTaskWithResponse(ctx, matchUID, lease.TaskID,
			api.TaskRelease{Token: lease.Token, Untried: &untried}))
		lease = must[*api.LeaseTaskResponse](t, 200)(worker.LeaseTaskWithResponse(ctx, matchUID,
			api.LeaseRequest{Pool: api.WorkerPool("gpu"), Holder: "test"})).JSON200.Lease
	}
	output := p.do(*lease)
	output.Token, output.Variables, output.Notes = lease.Token, map[string]any{"seen": true},
		[]string{"the result at 5 s ends before it starts"}
	must[*api.CompleteTaskResponse](t, 204)(worker.CompleteTaskWithResponse(ctx, matchUID, lease.TaskID, output))
	variables := must[*api.GetVariablesResponse](t, 200)(worker.GetVariablesWithResponse(ctx, matchUID)).JSON200.Variables
	if diff := cmp.Diff(map[string]any{"score": 1.0, "seen": true}, variables); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}

	for _, d := range must[*api.ExplainChunkResponse](t, 200)(p.as(viewer).ExplainChunkWithResponse(ctx,
		matchUID, lease.Chunk)).JSON200.Tasks {
		if d.Task.ID == lease.TaskID && (d.Task.Losses != 1 || len(d.Tries) != 2 || !slices.Equal(d.Notes, output.Notes)) {
			t.Errorf("%d losses, tries %+v, notes %q", d.Task.Losses, d.Tries, d.Notes)
		}
	}

	report := api.PluginHealthReport{Holder: "test", State: api.PluginHealthReportStateStartFailed,
		Message: "no module named torch"}
	must[*api.PutPluginHealthResponse](t, 204)(worker.PutPluginHealthWithResponse(ctx, matchUID, "cuts", report))
	must[*api.PutPluginHealthResponse](t, 404)(worker.PutPluginHealthWithResponse(ctx, matchUID, "moments", report))
	state := must[*api.GetEventResponse](t, 200)(worker.GetEventWithResponse(ctx, matchUID)).JSON200
	if len(state.Plugins) != 1 || state.Plugins[0].Name != "cuts" || state.Plugins[0].Message != report.Message {
		t.Errorf("plugins: %+v", state.Plugins)
	}

	p.work(api.WorkerPool("gpu"))
	p.work(api.PoolWork)
	opinion := api.Feedback{SegmentID: "000001-0", Track: 1, Reviewer: "ann",
		Original: &api.Opinion{Feedback: api.OpinionFeedbackLike}}
	must[*api.PutFeedbackResponse](t, 204)(worker.PutFeedbackWithResponse(ctx, matchUID, opinion))
	found := must[*api.ListFeedbackResponse](t, 200)(p.as(viewer).ListFeedbackWithResponse(ctx, matchUID)).JSON200.Items
	if diff := cmp.Diff([]api.Feedback{opinion}, found); diff != "" {
		t.Errorf("feedback (-want +got):\n%s", diff)
	}
	results := must[*api.ListResultsResponse](t, 200)(worker.ListResultsWithResponse(ctx,
		matchUID, &api.ListResultsParams{LastChunk: new(int64(1)), FromMicros: new(int64(1))})).JSON200.Items
	if len(results) != 1 || results[0].Chunk != 1 {
		t.Errorf("results of chunk 1: %+v", results)
	}
	p.work(api.PoolRender)
	p.waitState(api.EventStateStateComplete)
	if document := must[*api.ExportEventResponse](t, 200)(p.as(viewer).ExportEventWithResponse(ctx, matchUID)).
		Body; !strings.Contains(string(document), `"Reviewer": "ann"`) {
		t.Errorf("the export has no feedback: %s", document)
	}
}

// TestIngestSaysWhyItIsTriedAgain is what its supervisor does.
func TestIngestSaysWhyItIsTriedAgain(t *testing.T) {
	p := start(t)
	p.startContainers()
	problem := func() string {
		state := must[*api.GetEventResponse](t, 200)(p.as(viewer).GetEventWithResponse(t.Context(), matchUID)).JSON200
		if state.IngestProblem == nil {
			return ""
		}
		return *state.IngestProblem
	}
	must[*api.PutIngestProblemResponse](t, 204)(p.as(agent).PutIngestProblemWithResponse(t.Context(),
		matchUID, api.IngestProblem{Message: "the filters cannot be built"}))
	must[*api.PutIngestProblemResponse](t, 400)(p.as(agent).PutIngestProblemWithResponse(t.Context(),
		matchUID, api.IngestProblem{}))
	must[*api.PutIngestProblemResponse](t, 403)(p.as(viewer).PutIngestProblemWithResponse(t.Context(), matchUID,
		api.IngestProblem{Message: "x"}))
	if got := problem(); got != "the filters cannot be built" {
		t.Errorf("it says %q", got)
	}
	p.ingestMatch()
	if got := problem(); got != "" {
		t.Errorf("after new units it says %q", got)
	}
}

// TestOutputsThatAreTooMuch are refused by name, before or behind the gate, and
// none of them is the data plane's own failure.
func TestOutputsThatAreTooMuch(t *testing.T) {
	p := start(t)
	p.startContainers()
	p.ingestMatch()
	lease := must[*api.LeaseTaskResponse](t, 200)(p.as(agent).LeaseTaskWithResponse(t.Context(), matchUID,
		api.LeaseRequest{Pool: api.WorkerPool("gpu"), Holder: "test"})).JSON200.Lease
	url := fmt.Sprintf("%s/v1/events/%s/tasks/%d/", p.url, matchUID, lease.TaskID)
	one := func(attributes string) string {
		return `{"results":[{"startMicros":0,"endMicros":1,"attributes":` + attributes + `}],"token":"` + lease.Token + `"}`
	}
	for name, c := range map[string]struct {
		call, body string
		status     int
		detail     string
	}{
		"results": {"complete", `{"token":"x","results":[` +
			strings.TrimSuffix(strings.Repeat(`{"startMicros":0,"endMicros":0,"attributes":{}},`, 10_001), ",") +
			`]}`, 400, "results"},
		"deep": {"complete", one(`{"a":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`),
			400, "results[0].attributes nest"},
		"very deep": {"complete",
			one(`{"a":` + strings.Repeat("[", 1_000_000) + strings.Repeat("]", 1_000_000) + `}`), 400, ""},
		"large":       {"complete", one(`{"a":"` + strings.Repeat("x", 300<<10) + `"}`), 400, "results[0].attributes take"},
		"no number":   {"complete", one(`{"a":NaN}`), 400, ""},
		"huge number": {"complete", one(`{"a":1e999}`), 400, ""},
		"a float time": {"complete", `{"results":[{"startMicros":0.5,"endMicros":1,"attributes":{}}],"token":"x"}`,
			400, "startMicros"},
		"a huge time": {"complete",
			`{"results":[{"startMicros":1e30,"endMicros":1e30,"attributes":{}}],"token":"x"}`, 400, ""},
		"a list": {"variables", `{"token":"` + lease.Token + `","name":"a","value":[1]}`, 400, "variables.a"},
		"a long value": {"variables", `{"token":"` + lease.Token + `","name":"a","value":"` +
			strings.Repeat("x", 64<<10) + `"}`, 400, "variables.a"},
		"too large": {"variables", `{"token":"` + lease.Token + `","name":"a","value":"` +
			strings.Repeat("x", 2<<20) + `"}`, 413, "at most 1048576 bytes"},
		"null":        {"variables", `{"token":"` + lease.Token + `","name":"a","value":null}`, 400, ""},
		"a stale one": {"variables", `{"token":"x","name":"a","value":1}`, 409, "task"},
	} {
		status, problem := send(t, "POST", url+c.call, agent, c.body)
		if status != c.status || problem.Detail == nil || !strings.Contains(*problem.Detail, c.detail) {
			detail := ""
			if problem.Detail != nil {
				detail = *problem.Detail
			}
			t.Errorf("%s: %d, want %d: %.300s", name, status, c.status, detail)
		}
	}
}
