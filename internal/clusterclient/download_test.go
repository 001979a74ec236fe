// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestFetch downloads from stores that take ranges and from one that does not.
func TestFetch(t *testing.T) {
	content := strings.Repeat("frame ", 1000)
	whole := int64(len(content))
	ranges := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	noRanges := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, content) })
	for name, c := range map[string]struct {
		store http.Handler
		there string
		size  int64
	}{
		"nothing there":                 {ranges, "", whole},
		"half of it there":              {ranges, content[:whole/2], whole},
		"all of it there":               {ranges, content, whole},
		"more than it there":            {ranges, content + "x", whole},
		"of unknown size, half there":   {ranges, content[:whole/2], 0},
		"a store that sends everything": {noRanges, content[:whole/2], whole},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(c.store)
			defer srv.Close()
			last := int64(-1)
			w := Download{Location: "s3://mre/a", Path: filepath.Join(t.TempDir(), "a.mp4"),
				Size: c.size, Progress: func(n int64) { last = n }}
			if c.there != "" {
				if err := os.WriteFile(w.Partial(), []byte(c.there), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if err := (Downloader{HTTP: srv.Client()}).fetch(t.Context(), srv.URL, w); err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(w.Path)
			if err != nil || !bytes.Equal(got, []byte(content)) {
				t.Errorf("%d bytes, %v; want %d", len(got), err, whole)
			}
			if last != whole {
				t.Errorf("the last progress is %d, want %d", last, whole)
			}
			if _, err := os.Stat(w.Partial()); !os.IsNotExist(err) {
				t.Errorf("the partial file is still there: %v", err)
			}
		})
	}
}

// TestFetchOfAnotherSize must not make a file.
func TestFetchOfAnotherSize(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "short")
	}))
	defer srv.Close()
	w := Download{Location: "s3://mre/a", Path: filepath.Join(t.TempDir(), "a.mp4"), Size: 10, Progress: func(int64) {}}
	err := (Downloader{HTTP: srv.Client()}).fetch(t.Context(), srv.URL, w)
	if err == nil || !strings.Contains(err.Error(), "5 bytes of 10") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(w.Path); !os.IsNotExist(err) {
		t.Errorf("the file is there: %v", err)
	}
}

func TestNoErrorTellsASignedURL(t *testing.T) {
	d := Downloader{HTTP: http.DefaultClient}
	w := Download{Path: filepath.Join(t.TempDir(), "a"), Progress: func(int64) {}}
	for _, signed := range []string{"http://127.0.0.1:1/a?X-Amz-Signature=secret",
		"http://[::1/a?X-Amz-Signature=secret"} {
		err := d.fetch(t.Context(), signed, w)
		if err == nil || strings.Contains(err.Error(), "Signature") || strings.Contains(err.Error(), "secret") {
			t.Errorf("got %v", err)
		}
	}
}
