// SPDX-License-Identifier: Apache-2.0

package mre

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// endpoint is in front of MRE's paths, as MRE's helper writes them: with a second slash.
const endpoint = "/x.execute-api.us-east-1.amazonaws.com/api/"

// request is one call of the façade and what must come back.
type request struct {
	// call is the method and the path below the endpoint; paths that begin with / are whole.
	call, body string
	status     int
	// want is the answer: JSON, or text where it is no JSON.
	want string
	// has are parts of the answer, where not all of it is compared.
	has []string
}

// send makes a call as MRE's helper does: signed by somebody whose signature nobody checks.
func send(base, call, body string) (int, string, error) {
	method, path, _ := strings.Cut(call, " ")
	if !strings.HasPrefix(path, "/") {
		path = endpoint + path
	}
	r, err := http.NewRequestWithContext(context.Background(), method, base+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization",
		"AWS4-HMAC-SHA256 Credential=mre/20260601/us-east-1/execute-api/aws4_request, SignedHeaders=host, Signature=00")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(got), err
}

// expect makes calls in order and compares their answers.
func expect(t *testing.T, base string, requests []request) {
	t.Helper()
	for _, r := range requests {
		status, got, err := send(base, r.call, r.body)
		if err != nil {
			t.Fatal(err)
		}
		what := fmt.Sprintf("%s %s", r.call, r.body)
		want := r.status
		if want == 0 {
			want = http.StatusOK
		}
		if status != want {
			t.Errorf("%s: status %d, want %d: %s", what, status, want, got)
			continue
		}
		for _, part := range r.has {
			if !strings.Contains(got, part) {
				t.Errorf("%s: the answer lacks %s: %s", what, part, got)
			}
		}
		if r.want == "" {
			continue
		}
		var w, g any
		if json.Unmarshal([]byte(r.want), &w) != nil || json.Unmarshal([]byte(got), &g) != nil {
			w, g = r.want, got
		}
		if diff := cmp.Diff(w, g); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

// answer is the output object of an MRE plugin.
func answer(results string) []byte {
	return fmt.Appendf(nil, `{"Event":{},"Input":{},"Output":{"Status":"Complete","Results":%s}}`, results)
}

// says is a handler that returns results by chunk, and nothing for others.
func says(byChunk map[float64]string) handler {
	return func(_ *port, event []byte) ([]byte, error) {
		if results, ok := byChunk[chunkOf(event)]; ok {
			return answer(results), nil
		}
		return answer("[]"), nil
	}
}

// chunkOf is the number of the event's chunk; the final pass has none.
func chunkOf(event []byte) float64 {
	var e struct {
		Mre struct {
			Task  struct{ Final bool }
			Chunk struct{ Number float64 }
		}
	}
	if json.Unmarshal(event, &e) != nil || e.Mre.Task.Final {
		return 0
	}
	return e.Mre.Chunk.Number
}

// worksOn says whether the event's segments have one that its segmenter said starts at a time.
func worksOn(event []byte, micros float64) bool {
	var e struct {
		Mre struct {
			Segments []struct{ ReportedStartMicros float64 }
		}
	}
	if json.Unmarshal(event, &e) != nil {
		return false
	}
	for _, s := range e.Mre.Segments {
		if s.ReportedStartMicros == micros {
			return true
		}
	}
	return false
}
