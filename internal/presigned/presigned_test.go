// SPDX-License-Identifier: Apache-2.0

package presigned

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestPut(t *testing.T) {
	tests := map[string]struct {
		answers []int
		body    string
		code    string
		want    error
		text    string
	}{
		"stored":             {answers: []int{200}, body: "media"},
		"empty":              {answers: []int{200}},
		"busy, then stored":  {answers: []int{503, 500, 200}, body: "media"},
		"racing, then there": {answers: []int{409, 412}, body: "media", want: ErrExists},
		"there already":      {answers: []int{412}, body: "media", want: ErrExists},
		"the URL is out of date": {answers: []int{403}, body: "media", code: "AccessDenied",
			want: ErrAway, text: "403 Forbidden (AccessDenied)"},
		"no bucket": {answers: []int{404}, body: "media", code: "NoSuchBucket",
			want: ErrAway, text: "404 Not Found (NoSuchBucket)"},
		"no object": {answers: []int{404}, body: "media", code: "NoSuchKey", text: "404 Not Found (NoSuchKey)"},
		"too large": {answers: []int{400}, body: "media", code: "EntityTooLarge", text: "400 Bad Request (EntityTooLarge)"},
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
				_, _ = w.Write([]byte("<Error><Code>" + tt.code + "</Code></Error>"))
			}))
			defer srv.Close()
			err := New().Put(t.Context(), api.Upload{Key: "a/b.ts", URL: srv.URL + "/x?signature=secret",
				Headers: map[string]string{"If-None-Match": "*"}},
				strings.NewReader(tt.body), int64(len(tt.body)))
			switch {
			case tt.want == nil && tt.text == "" && err != nil, tt.want != nil &&
				!errors.Is(err, tt.want), tt.text != "" && err == nil:
				t.Fatalf("err = %v, want %v %s", err, tt.want, tt.text)
			case err != nil && (!strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "secret")):
				t.Fatalf("err = %v, want %s and no signature", err, tt.text)
			case tt.want == nil && (errors.Is(err, ErrExists) || errors.Is(err, ErrAway)):
				t.Fatalf("it is the fault of what is uploaded: %v", err)
			case n != len(tt.answers):
				t.Fatalf("%d tries, want %d", n, len(tt.answers))
			}
		})
	}
}

// A store that does not answer, breaks off, is overloaded or slow is away, and nobody is told its signatures.
func TestAway(t *testing.T) {
	tests := map[string]http.HandlerFunc{
		"overloaded": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"throttles":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"breaks off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		},
	}
	for name, handle := range tests {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(handle)
			defer srv.Close()
			for what, call := range map[string]func(ctx context.Context) error{
				"put": func(ctx context.Context) error {
					return New().Put(ctx, api.Upload{Key: "a", URL: srv.URL + "/x?X-Amz-Signature=secret"},
						strings.NewReader("media"), 5)
				},
				"get": func(ctx context.Context) error {
					_, err := New().Get(ctx, srv.URL+"/x?X-Amz-Signature=secret", 10)
					return err
				},
			} {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				err := call(ctx)
				cancel()
				if !errors.Is(err, ErrAway) || strings.Contains(err.Error(), "secret") {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

// What cannot be read on this side is no fault of the store's, and is not tried again.
func TestPutOfWhatCannotBeRead(t *testing.T) {
	asked := 0
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer srv.Close()
	err := New().Put(t.Context(), api.Upload{Key: "a", URL: srv.URL}, broken{}, 5)
	if errors.Is(err, ErrAway) || err == nil || !strings.Contains(err.Error(),
		"read what is uploaded: the disk is gone") || asked > 1 {
		t.Errorf("asked %d times: %v", asked, err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, errors.New("the disk is gone") }
