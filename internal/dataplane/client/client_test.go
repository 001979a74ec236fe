// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func newTest(t *testing.T, h http.HandlerFunc, change func(*Options)) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	o := Options{BaseURL: srv.URL + "/", RetryFor: 5 * time.Second}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	kind := "application/json"
	if status >= 400 {
		kind = "application/problem+json"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func TestNewRefusesBadURL(t *testing.T) {
	if _, err := New(Options{BaseURL: "mre-dataplane:8080"}); err == nil || !strings.Contains(err.Error(), "http://") {
		t.Fatalf("want an error that names http://, got %v", err)
	}
}

func TestRetriesServerErrorsWithTheSameBody(t *testing.T) {
	var calls atomic.Int32
	c := newTest(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"frames":7`) {
			t.Errorf("call %d: body %q", calls.Load(), body)
		}
		switch calls.Add(1) {
		case 1:
			writeJSON(w, 503, api.Problem{Title: "starting", Status: 503, Code: api.ProblemCodeUnavailable})
		case 2:
			// A connection that breaks in the middle of an answer.
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("{"))
		default:
			w.WriteHeader(204)
		}
	}, nil)
	if err := c.EndSource(t.Context(), "u", api.SourceEnd{Frames: 7}); err != nil {
		t.Fatal(err)
	}
	if calls.Load() != 3 {
		t.Fatalf("calls = %d, want 3", calls.Load())
	}
}

func TestNeverRetriesRefusals(t *testing.T) {
	detail := "the lease of task 3 went to another worker"
	tests := map[string]struct {
		status int
		body   any
		want   api.ProblemCode
		text   string
	}{
		"problem": {409, api.Problem{Title: "lost", Status: 409, Code: api.ProblemCodeLeaseLost, Detail: &detail},
			api.ProblemCodeLeaseLost, detail},
		"plain 404":     {404, "nothing here", api.ProblemCodeNotFound, "404"},
		"plain 400":     {400, "no", api.ProblemCodeInvalid, "400"},
		"unknown codes": {410, map[string]any{"title": "x", "status": 410, "code": "Strange"}, api.ProblemCodeGone, "410"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			c := newTest(t, func(w http.ResponseWriter, _ *http.Request) {
				calls.Add(1)
				writeJSON(w, tt.status, tt.body)
			}, nil)
			err := c.Heartbeat(t.Context(), "u", 3, "tok")
			if !Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) || Temporary(err) {
				t.Fatalf("err = %v (code %q), want %q with %q", err, Code(err), tt.want, tt.text)
			}
			if calls.Load() != 1 {
				t.Fatalf("calls = %d, want 1", calls.Load())
			}
		})
	}
}

func TestGivesTheProblemWhenRetriesRunOut(t *testing.T) {
	c := newTest(t, func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, 503, api.Problem{Title: "the database is locked", Status: 503, Code: api.ProblemCodeUnavailable})
	}, func(o *Options) { o.RetryFor = -1 })
	_, err := c.Event(t.Context(), "u")
	if !Is(err, api.ProblemCodeUnavailable) || !Temporary(err) || !strings.Contains(err.Error(), "locked") {
		t.Fatalf("err = %v", err)
	}
}

func TestUnreachableIsTemporaryWithoutCode(t *testing.T) {
	c, err := New(Options{BaseURL: "http://127.0.0.1:1", RetryFor: -1})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Event(t.Context(), "u")
	if err == nil || Code(err) != "" || !Temporary(err) {
		t.Fatalf("err = %v, code %q", err, Code(err))
	}
}

func TestCancelEndsRetries(t *testing.T) {
	c, err := New(Options{BaseURL: "http://127.0.0.1:1", RetryFor: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Event(ctx, "u"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("err = %v", err)
	}
}

func TestTokenIsReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	var got atomic.Value
	c := newTest(t, func(w http.ResponseWriter, r *http.Request) {
		got.Store(r.Header.Get("Authorization"))
		w.WriteHeader(204)
	}, func(o *Options) { o.TokenFile = file })
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := c.Release(t.Context(), "u", 1, "x", false); err != nil {
			t.Fatal(err)
		}
		if got.Load() != "Bearer "+token {
			t.Fatalf("Authorization = %q, want %q", got.Load(), token)
		}
	}
}

func TestFollowsPages(t *testing.T) {
	c := newTest(t, func(w http.ResponseWriter, r *http.Request) {
		next := "b"
		if r.URL.Query().Get("continue") == "b" {
			writeJSON(w, 200, api.SegmentList{Items: []api.Segment{{ID: "2"}}})
			return
		}
		writeJSON(w, 200, api.SegmentList{Items: []api.Segment{{ID: "1"}}, Continue: &next})
	}, nil)
	got, err := c.Segments(t.Context(), "u")
	if err != nil || len(got) != 2 || got[0].ID != "1" || got[1].ID != "2" {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestRefusesAnAnswerThatIsNotJSON(t *testing.T) {
	c := newTest(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, nil)
	if _, err := c.Lease(t.Context(), "u", api.LeaseRequest{}); !Is(err, api.ProblemCodeInternal) {
		t.Fatalf("err = %v", err)
	}
}
