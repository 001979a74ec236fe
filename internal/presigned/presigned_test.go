// SPDX-License-Identifier: Apache-2.0

package presigned

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestPut(t *testing.T) {
	tests := map[string]struct {
		answers []int
		body    string
		want    error
		text    string
	}{
		"stored":                 {answers: []int{200}, body: "media"},
		"empty":                  {answers: []int{200}},
		"busy, then stored":      {answers: []int{503, 500, 200}, body: "media"},
		"racing, then there":     {answers: []int{409, 412}, body: "media", want: ErrExists},
		"there already":          {answers: []int{412}, body: "media", want: ErrExists},
		"the URL is out of date": {answers: []int{403}, body: "media", text: "AccessDenied"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			n := 0
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got, _ := io.ReadAll(r.Body)
				if string(got) != tt.body || r.ContentLength != int64(len(tt.body)) || r.Header.Get("If-None-Match") != "*" {
					t.Errorf("try %d: %q (%d bytes), %v", n, got, r.ContentLength, r.Header)
				}
				w.WriteHeader(tt.answers[n])
				n++
				_, _ = w.Write([]byte("<Error><Code>AccessDenied</Code></Error>"))
			}))
			defer srv.Close()
			err := New().Put(t.Context(), api.Upload{Key: "a/b.ts", URL: srv.URL + "/x?signature=secret", Headers: map[string]string{"If-None-Match": "*"}},
				strings.NewReader(tt.body), int64(len(tt.body)))
			switch {
			case tt.want != nil && !errors.Is(err, tt.want), tt.want == nil && tt.text == "" && err != nil:
				t.Fatalf("err = %v, want %v", err, tt.want)
			case tt.text != "" && (err == nil || !strings.Contains(err.Error(), tt.text) || errors.Is(err, ErrExists) || errors.Is(err, ErrAway)):
				t.Fatalf("err = %v, want %s", err, tt.text)
			case err != nil && strings.Contains(err.Error(), "secret"):
				t.Fatalf("the signature leaks: %v", err)
			case n != len(tt.answers):
				t.Fatalf("%d tries, want %d", n, len(tt.answers))
			}
		})
	}
}
