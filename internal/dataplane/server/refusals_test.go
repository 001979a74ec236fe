// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// TestWhoMayCallWhat sends every operation of the API as every caller. A caller who may not is refused before
// anything else is looked at; one who may gets an answer about the request.
func TestWhoMayCallWhat(t *testing.T) {
	p := start(t)
	p.startMatch()
	spec, err := api.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	may := map[auth.Role][]string{
		auth.Anybody: {manager, viewer, agent, foreignAgent, otherAgent, podless, reader, stranger, nobody},
		auth.Manager: {manager},
		auth.Agent:   {manager, agent},
		auth.Viewer:  {manager, viewer, reader},
		auth.Reader:  {manager, viewer, reader, agent},
	}
	must[*api.PutReplayResponse](t, 200)(p.as(manager).PutReplayWithResponse(t.Context(), replayUID, api.ReplayRules{
		EventUID: matchUID, Namespace: "football", Name: "best-of", Generation: 1, AudioTrack: 1,
		Features: []api.FeatureRule{}, ByDuration: api.ByDuration{DurationSeconds: 6,
			Distribution: api.ByDurationDistributionByScore}, Resolutions: []string{"1280x720"},
	}))
	callers := []string{manager, viewer, agent, foreignAgent, otherAgent, podless, reader, stranger, nobody, "not a token"}
	try := func(path, method string, operation *openapi3.Operation) {
		url := p.url + strings.NewReplacer("{eventUID}", matchUID, "{replayUID}", replayUID,
			"{taskID}", "1", "{plugin}", "cuts").Replace(path)
		allowed := make(map[string]bool)
		for _, caller := range may[auth.Required(operation.OperationID)] {
			allowed[caller] = true
		}
		for _, caller := range callers {
			status, problem := send(t, method, url, caller, "{}")
			refused := status == http.StatusForbidden || status == http.StatusUnauthorized
			open := allowed[caller] || allowed[nobody]
			if refused == open {
				t.Errorf("%s as %q: %d %s", operation.OperationID, caller, status, problem.Code)
			}
			if known := strings.Contains(caller, ":"); refused && known != (problem.Code == api.ProblemCodeForbidden) {
				t.Errorf("%s as %q: %s", operation.OperationID, caller, problem.Code)
			}
		}
	}
	// What is deleted is nobody's any more, so that deletions come last.
	for _, deletes := range []bool{false, true} {
		for path, item := range spec.Paths.Map() {
			for method, operation := range item.Operations() {
				if deletes == (method == http.MethodDelete) {
					try(path, method, operation)
				}
			}
		}
	}
}

func TestBadRequestsAreNamed(t *testing.T) {
	p := start(t)
	p.startMatch()
	events := p.url + "/v1/events/"
	for name, c := range map[string]struct {
		method, url, body string
		status            int
		code              api.ProblemCode
		detail            string
	}{
		"not JSON": {"POST", events + matchUID + "/lease", `{"pool":`, 400, api.ProblemCodeInvalid, ""},
		"a field missing": {"POST", events + matchUID + "/lease",
			`{"pool":"work","waitSeconds":0}`, 400, api.ProblemCodeInvalid, "holder"},
		"a wrong word": {"POST", events + matchUID + "/lease", `{"pool":"swim","holder":"h","waitSeconds":0}`,
			400, api.ProblemCodeInvalid, "pool"},
		"too long a wait": {"POST", events + matchUID + "/lease", `{"pool":"work","holder":"h","waitSeconds":31}`,
			400, api.ProblemCodeInvalid, "waitSeconds"},
		"too large": {"POST", events + matchUID + "/lease", `{"pool":"` + strings.Repeat("x", 2<<20) + `"}`,
			413, api.ProblemCodeTooLarge, "at most 1048576 bytes; send less"},
		"a bad number":      {"GET", events + matchUID + "/units/list?limit=0", "", 400, api.ProblemCodeInvalid, "limit"},
		"a bad UID":         {"GET", events + "a..b", "", 400, api.ProblemCodeInvalid, "eventUID"},
		"an unknown Event":  {"GET", events + "unknown", "", 404, api.ProblemCodeNotFound, "unknown"},
		"an unknown path":   {"GET", p.url + "/v2", "", 404, api.ProblemCodeNotFound, ""},
		"an unknown method": {"PATCH", events + matchUID, "", 404, api.ProblemCodeNotFound, ""},
		"no such track":     {"GET", events + matchUID + "/edl?track=9", "", 409, api.ProblemCodeConflict, "track"},
		"a lost lease": {"POST", events + matchUID + "/tasks/4711/heartbeat",
			`{"token":"x"}`, 404, api.ProblemCodeNotFound, ""},
	} {
		status, problem := send(t, c.method, c.url, manager, c.body)
		if status != c.status || problem.Code != c.code || int(problem.Status) != status || problem.Title == "" {
			t.Errorf("%s: %d %+v", name, status, problem)
		}
		if problem.Detail == nil || !strings.Contains(*problem.Detail, c.detail) {
			t.Errorf("%s: the detail does not name %q: %v", name, c.detail, problem.Detail)
		}
	}
}

func TestDownloadsStayWithinTheEvent(t *testing.T) {
	p := start(t)
	p.startMatch()
	own := keys.Event("football", matchUID)
	for _, key := range []string{own + "clips/a.mp4", "football/other/clips/a.mp4", "tennis/x/clips/a.mp4"} {
		if err := p.bucket.Put(t.Context(), key, "video/mp4", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	for location, want := range map[string]int{
		p.bucket.Location(own + "clips/a.mp4"):                      200,
		p.bucket.Location(own + "clips/missing.mp4"):                404,
		p.bucket.Location("football/other/clips/a.mp4"):             400,
		p.bucket.Location(own + "../other/clips/a.mp4"):             400,
		p.bucket.Location(own + "clips/../../../tennis/x/clips"):    400,
		p.bucket.Location(own + "./clips/a.mp4"):                    400,
		p.bucket.Location(own + "clips//a.mp4"):                     400,
		p.bucket.Location(own):                                      400,
		p.bucket.Location("football/" + matchUID + "x/clips/a.mp4"): 400,
		"s3://another-bucket/" + own + "clips/a.mp4":                400,
		"https://example.com/a.mp4":                                 400,
	} {
		got, err := p.as(viewer).MintDownloadURLWithResponse(t.Context(), matchUID, api.Location{Location: location})
		if err != nil {
			t.Fatal(err)
		}
		if got.StatusCode() != want {
			t.Errorf("%s: %d, want %d: %s", location, got.StatusCode(), want, got.Body)
		}
	}
}

func TestSources(t *testing.T) {
	p := start(t)
	for _, key := range []string{"sources/cup/final.mp4", "football/old/clips/a.mp4", "tennis/x/units/0/1.ts"} {
		if err := p.bucket.Put(t.Context(), key, "video/mp4", []byte("source")); err != nil {
			t.Fatal(err)
		}
	}
	for uid, c := range map[string]struct {
		source string
		status int
		signed bool
	}{
		"https":      {"https://example.com/a.mp4?x=1", 200, false},
		"bucket":     {p.bucket.Location("sources/cup/final.mp4"), 200, true},
		"namespace":  {p.bucket.Location("football/old/clips/a.mp4"), 200, true},
		"foreign":    {p.bucket.Location("tennis/x/units/0/1.ts"), 403, false},
		"incomplete": {"s3://bucket", 400, false},
	} {
		must[*api.PutPlanResponse](t, 200)(p.as(manager).PutPlanWithResponse(t.Context(), uid, plan(uid, c.source)))
		answer := must[*api.GetIngestResponse](t, c.status)(p.as(authtest.AgentToken("football", uid)).
			GetIngestWithResponse(t.Context(), uid))
		if c.status != 200 {
			continue
		}
		if !c.signed && answer.JSON200.URL != c.source {
			t.Errorf("%s: %s", uid, answer.JSON200.URL)
		}
		if status, body := 0, ""; c.signed {
			if status, body = download(t, answer.JSON200.URL); status != 200 || body != "source" {
				t.Errorf("%s: %d %q", uid, status, body)
			}
		}
	}
}

// A store that keeps objects in folders knows them by many names; only the plain one says whose they are.
func TestSourceByAnotherName(t *testing.T) {
	p := start(t)
	if err := p.bucket.Put(t.Context(), "tennis/x/units/0/1.ts", "video/mp2t", []byte("secret of tennis")); err != nil {
		t.Fatal(err)
	}
	for i, key := range []string{
		"./tennis/x/units/0/1.ts", "/tennis/x/units/0/1.ts", "tennis//x/units/0/1.ts", "tennis/./x/units/0/1.ts",
		"tennis/x/units/0/1.ts/", "sources/../tennis/x/units/0/1.ts", "football/../tennis/x/units/0/1.ts",
		"../mre/tennis/x/units/0/1.ts", `tennis\x\units\0\1.ts`,
	} {
		uid := fmt.Sprintf("name-%d", i)
		must[*api.PutPlanResponse](t, 200)(p.as(manager).PutPlanWithResponse(t.Context(), uid,
			plan(uid, p.bucket.Location("")+key)))
		must[*api.GetIngestResponse](t, 400)(p.as(authtest.AgentToken("football", uid)).
			GetIngestWithResponse(t.Context(), uid))
	}
}

func TestAStoreThatIsDownIsNoFaultOfTheCaller(t *testing.T) {
	broken, err := objects.Open(t.Context(),
		objects.Config{Bucket: "b", Region: "r", Endpoint: "http://127.0.0.1:1", PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := broken.EnsureBucket(t.Context()); err == nil {
		t.Fatal("a bucket behind a closed port was made")
	}
	p := startOn(t, broken)
	p.startMatch()
	status, problem := send(t, "POST", p.url+"/v1/events/"+matchUID+"/download-urls", viewer,
		`{"location":"`+broken.Location(keys.EventExport("football", matchUID))+`"}`)
	if status != http.StatusServiceUnavailable || problem.Code != api.ProblemCodeUnavailable {
		t.Errorf("%d %+v", status, problem)
	}
	if status, _ := send(t, "GET", p.url+"/healthz", nobody, ""); status != http.StatusOK {
		t.Errorf("alive: %d", status)
	}
	if status, problem := send(t, "GET", p.url+"/readyz", nobody, ""); status != http.StatusServiceUnavailable ||
		problem.Code != api.ProblemCodeUnavailable {
		t.Errorf("ready: %d %+v", status, problem)
	}
}

func TestReadyOnceTheBucketIsThere(t *testing.T) { start(t).isReady() }

// isReady waits until the data plane has seen its bucket.
func (p *plane) isReady() {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		status, problem := send(p.t, "GET", p.url+"/readyz", nobody, "")
		if status == http.StatusOK {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%d %+v", status, problem)
		}
	}
}

func send(t *testing.T, method, url, caller, body string) (int, api.Problem) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if caller != nobody {
		request.Header.Set("Authorization", "Bearer "+caller)
	}
	status, answer := do(t, request)
	var problem api.Problem
	if status >= 400 {
		if err := json.Unmarshal([]byte(answer), &problem); err != nil {
			t.Errorf("%s %s: %d without a Problem: %q", method, url, status, answer)
		}
	}
	return status, problem
}
