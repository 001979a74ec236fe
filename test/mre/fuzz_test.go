// SPDX-License-Identifier: Apache-2.0

package mre

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// foreign is a word that stands everywhere in another Event, and nowhere in the plugin's own.
const foreign = "Zxqforeign"

// FuzzFacade: whatever a plugin asks, nothing panics, and no answer tells of another Event.
func FuzzFacade(f *testing.F) {
	w := newWorld(f, testPlan())
	otherEvent(f, w)
	runs := w.openRuns(f)

	path := func(p string) string { return endpoint + p }
	for _, seed := range []struct{ method, path, body string }{
		{http.MethodPost, "/", `{"Names":["/MRE/DataPlane/EndpointURL"]}`},
		{http.MethodGet, path("media/mre/x%2Fy.ts"), ""},
		{http.MethodGet, path("metadata/chunk/start/" + program + "/final/soccer/1e300?pts=false"), ""},
		{http.MethodGet, path("metadata/timecode/" + program + "/final/x_1.ts/99999999999"), ""},
		{http.MethodGet, path("event/final/program/" + program + "/context-variables"), ""},
		{http.MethodPatch, path("event/final/program/" + program + "/context-variables"), `{"a":1}`},
		{http.MethodGet, path("segments/all/program/" + program + "/event/final/classifier/moments/replay"), ""},
		{http.MethodGet, path("segments/all/program/" + foreign + "/event/" + foreign + "/classifier/moments/replay"), ""},
		{http.MethodPut, path("event/final/program/" + program + "/classifier/moments/start/1/attrName/a/attrVal/b"), ""},
		{http.MethodPut, path("event/program/export/all/segments"),
			`{"Name":"final","Program":"Open 2026 / Men","Classifier":"moments","OutputAttributes":["a"],"LastStartValue":1}`},
		{http.MethodGet, path("feature/in/segment/program/" + program +
			"/event/final/plugin/scenes/attrn/a/attrv/true/start/0/end/9"), ""},
		{http.MethodPost, path("program/" + program + "/event/final/start/0/end/9/plugins/output/attributes"),
			`{"pluginAttributes":["Label"]}`},
		{http.MethodGet, path("clip/preview/program/" + program + "/event/final/track/1/feedback"), ""},
		{http.MethodPost, path("clip/preview/feedback"),
			scoped(`"Classifier":"moments","AudioTrack":1,"StartTime":1,"OriginalFeedback":{"Feedback":"Like"}`)},
		{http.MethodPost, path("workflow/segment/state"), scoped(`"PluginName":"moments","DependentPlugins":["volley"],` +
			`"ChunkStart":0,"LastEvaluatedKeys":{"a":{"MrePageAfter":1}}`)},
		{http.MethodPost, path("workflow/labeling/segment/state"),
			scoped(`"Classifier":"moments","DependentPlugins":[{"Name":"volley"}]`)},
		{http.MethodPost, path("workflow/optimization/segment/state"),
			scoped(`"Classifier":"moments","SearchWindowSeconds":5,"Detectors":[{"Name":"noise"}],"AudioTrack":1`)},
		{http.MethodPost, path("plugin/dependentplugins/output"),
			scoped(`"DependentPlugins":[{"Name":"scenes"}],"AudioTrack":2`)},
		{http.MethodPost, path("workflow/engine/clipgen/chunks"), scoped(`"Profile":"soccer","Start":0,"End":1e8`)},
		{http.MethodPost, path("plugin/result"), envelope("scenes", "Featurer", "1", `[{"Start":1,"End":2}]`)},
		{http.MethodPost, path("plugin/result"), envelope("moments", "Classifier", "1", `[{"Start":1e9}]`)},
		{http.MethodGet, path("prompt/..%2F..%2Fx/version/v1"), ""},
		{http.MethodGet, "/mre/v1/media/%2e%2e%2f", ""}, {http.MethodGet, "/mre/v1/frames?width=8&format=gray&rate=1/3", ""},
		{http.MethodPost, "/mre/v1/variables/a/swap", `{"expected":1,"value":2}`},
		{http.MethodGet, "/mre/v1/prompts/describe%20scene?version=v1", ""},
	} {
		f.Add(uint8(len(seed.path)), seed.method, seed.path, seed.body)
	}
	f.Fuzz(func(t *testing.T, which uint8, method, target, body string) {
		if strings.Contains(target+body, foreign) {
			// What is asked for may stand in a refusal.
			target, body = strings.ReplaceAll(target, foreign, "other"), strings.ReplaceAll(body, foreign, "other")
		}
		u, err := url.ParseRequestURI(target)
		if err != nil || u.Host != "" {
			return
		}
		r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+u.RequestURI(), strings.NewReader(body))
		if err != nil {
			return
		}
		r.Header.Set("X-Amz-Target", "AmazonSSM.GetParameters")
		run := runs[int(which)%len(runs)]
		name := "scenes"
		if run != nil {
			name = run.Plugin.Name
		}
		answered := httptest.NewRecorder()
		w.ports[name].Serve(run, answered, r)
		if answered.Code == http.StatusInternalServerError || answered.Code < 200 {
			t.Fatalf("%s %s: %d %s", method, target, answered.Code, answered.Body)
		}
		if strings.Contains(answered.Body.String(), foreign) {
			t.Fatalf("%s %s tells of another Event: %s", method, target, answered.Body)
		}
	})
}

// openRuns takes a task of each class without doing it, and none.
func (w *world) openRuns(f *testing.F) []*invocation.Run {
	f.Helper()
	w.ingest(f, eventUID, 1, 1, 1)
	runs := []*invocation.Run{nil}
	kept := map[string]bool{}
	for {
		got, err := w.agent(f, eventUID).Lease(f.Context(), eventUID, api.LeaseRequest{Pool: api.PoolWork, Holder: "fuzz"})
		if err != nil {
			f.Fatal(err)
		}
		if got.Outcome != api.LeaseResponseOutcomeTask {
			return runs
		}
		lease := *got.Lease
		out := api.TaskOutput{Token: lease.Token}
		if lease.Kind == api.TaskKindFramer {
			out.Signals = new(noSignals)
		} else {
			run, err := invocation.New(lease, &w.plan, w.media(lease), time.Now().Add(time.Hour))
			if err != nil {
				f.Fatal(err)
			}
			if !kept[run.Plugin.Name] {
				kept[run.Plugin.Name] = true
				runs = append(runs, run)
			}
			if run.Plugin.Class == api.PlanPluginClassSegmenter && lease.Kind == api.TaskKindSegmenter {
				out.Segments = []api.SegmentUpdate{{StartMicros: 1_000_000,
					EndMicros: new(int64(5_000_000)), Attributes: map[string]any{}}}
			}
		}
		if _, err := w.agent(f, eventUID).Complete(f.Context(), eventUID, lease.TaskID, out); err != nil {
			f.Fatal(err)
		}
	}
}

// otherEvent is an Event of the same namespace, on the same data plane, that is full of the foreign word.
func otherEvent(f *testing.F, w *world) {
	f.Helper()
	plan := testPlan()
	plan.Hash, plan.Event.UID, plan.Event.Name, plan.Event.Program = "plan-2", foreign, strings.ToLower(foreign), foreign
	plan.Variables = map[string]string{foreign: foreign}
	w.begin(f, plan)
	w.ingest(f, foreign, 1, 1, 1)
	for {
		got, err := w.agent(f, foreign).Lease(f.Context(), foreign, api.LeaseRequest{Pool: api.PoolWork, Holder: "fuzz"})
		if err != nil {
			f.Fatal(err)
		}
		if got.Outcome != api.LeaseResponseOutcomeTask {
			return
		}
		out := api.TaskOutput{Token: got.Lease.Token}
		switch got.Lease.Kind {
		case api.TaskKindFramer:
			out.Signals = new(noSignals)
		case api.TaskKindFeaturer:
			out.Results = []api.NewResult{{StartMicros: 1_000_000, EndMicros: 2_000_000,
				Attributes: map[string]any{"Label": foreign}}}
		case api.TaskKindSegmenter:
			out.Segments = []api.SegmentUpdate{{StartMicros: 1_000_000, EndMicros: new(int64(5_000_000)),
				Attributes: map[string]any{foreign: foreign}}}
		}
		if _, err := w.agent(f, foreign).Complete(f.Context(), foreign, got.Lease.TaskID, out); err != nil {
			f.Fatal(err)
		}
	}
}
