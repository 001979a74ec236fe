// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// TestSilentServer does not wait for an index that does not come.
func TestSilentServer(t *testing.T) {
	hold := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write([]byte{0, 0, 1})
		w.(http.Flusher).Flush()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	defer close(hold)
	if moov, err := readMoov(ranges{t.Context(), srv.URL, 100 * time.Millisecond}); err == nil {
		t.Errorf("got %+v", moov)
	}
}

// TestIndexOfADamagedSize takes no memory for what is not in the file.
func TestIndexOfADamagedSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.mp4")
	if err := os.WriteFile(path, append([]byte{0x1f, 0, 0, 0}, "moov and no more"...), 0o644); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if moov := <-readIndex(t.Context(), path); moov != nil {
		t.Errorf("got %+v", moov)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("took %d bytes", took)
	}
}
