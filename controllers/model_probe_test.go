// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

func TestProbeModel(t *testing.T) {
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.EscapedPath())
		switch {
		case strings.Contains(r.URL.Path, "loading"):
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("the secret of the house"))
		case strings.Contains(r.URL.Path, "elsewhere"):
			http.Redirect(w, r, "/v2/models/crowd/ready", http.StatusFound)
		case strings.Contains(r.URL.Path, "unknown"):
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	gone := httptest.NewServer(nil)
	gone.Close()
	dumb := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(dumb.Close)

	quick := NewModelClient()
	quick.Timeout = 200 * time.Millisecond
	at := func(address, model string) *mrev1.Model {
		return makeServer("crowd", mrev1.ClassFeaturer, mrev1.OpenInferenceModel{URL: address, ModelName: model})
	}
	for name, tc := range map[string]struct {
		model *mrev1.Model
		asks  string
		want  wantFinding
	}{
		"ready":        {model: at(server.URL, ""), asks: "GET /v2/models/crowd/ready"},
		"below a path": {model: at(server.URL+"/kserve/", "v 3"), asks: "GET /kserve/v2/models/v%203/ready"},
		"loading": {model: at(server.URL, "loading"), asks: "GET /v2/models/loading/ready",
			want: wantFinding{mrev1.ReasonModelNotReady, Wait, []string{"model loading", "503"}}},
		"not there": {model: at(server.URL, "unknown"), asks: "GET /v2/models/unknown/ready",
			want: wantFinding{mrev1.ReasonModelNotReady, Wait, []string{"404"}}},
		"sent elsewhere": {model: at(server.URL, "elsewhere"), asks: "GET /v2/models/elsewhere/ready",
			want: wantFinding{mrev1.ReasonModelNotReady, Wait, []string{"302"}}},
		"nobody answers": {model: at(gone.URL, ""),
			want: wantFinding{mrev1.ReasonModelUnreachable, Wait, []string{gone.URL + "/v2/models/crowd/ready", "refused"}}},
		"no answer in time": {model: at(dumb.URL, ""),
			want: wantFinding{mrev1.ReasonModelUnreachable, Wait, []string{"no answer in"}}},
		"only the plugin knows": {model: makeModel("crowd", mrev1.ClassFeaturer)},
	} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			f := probeModel(t.Context(), quick, tc.model)
			tc.want.check(t, f)
			if got := strings.Join(asked, ", "); got != tc.asks {
				t.Errorf("asked %q, want %q", got, tc.asks)
			}
			if f == nil {
				return
			}
			if strings.Contains(f.Message, "secret") {
				t.Errorf("the message has what the server sent: %s", f.Message)
			}
			if again := probeModel(t.Context(), quick, tc.model); again == nil || again.Message != f.Message {
				t.Errorf("the message is another each time: %q, then %+v", f.Message, again)
			}
		})
	}
}

func TestProbeAfter(t *testing.T) {
	served := makeServer("m", mrev1.ClassFeaturer, mrev1.OpenInferenceModel{URL: "http://triton"})
	if after := probeAfter(makeModel("m", mrev1.ClassFeaturer), nil); after != 0 {
		t.Errorf("a plain endpoint is looked at again after %s", after)
	}
	if after := probeAfter(served, waiting(mrev1.ReasonModelNotReady, "x")); after != 30*time.Second {
		t.Errorf("one that is not ready is asked again after %s", after)
	}
	if after := probeAfter(served, nil); after < 5*time.Minute || after > 6*time.Minute {
		t.Errorf("one that is ready is asked again after %s", after)
	}
}
