// SPDX-License-Identifier: Apache-2.0

package objectstore_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore"
)

// TestObjectsOutliveARestart also proves that a shutdown is clean: a second server in the process is refused
// while the first one runs.
func TestObjectsOutliveARestart(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	for _, metadata := range []string{"attributes", "files"} {
		t.Run(metadata, func(t *testing.T) {
			dir := t.TempDir()
			if metadata == "files" {
				if err := os.Mkdir(filepath.Join(dir, "metadata"), 0o750); err != nil {
					t.Fatal(err)
				}
			}
			// The gateway changes it; Chdir brings it back after the test.
			t.Chdir(dir)

			bucket, stop := start(t, dir)
			if err := bucket.EnsureBucket(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := bucket.Put(t.Context(), "ns/uid/a.ts", "video/mp2t", []byte("kept")); err != nil {
				t.Fatal(err)
			}
			stop()

			bucket, stop = start(t, dir)
			defer stop()
			body, err := bucket.Get(t.Context(), "ns/uid/a.ts")
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || string(got) != "kept" {
				t.Errorf("read %q, %v", got, err)
			}
		})
	}
}

func TestBadConfigurationIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for want, c := range map[string]objectstore.Config{
		"credentials": {DataDir: t.TempDir(), Listen: "127.0.0.1:0"},
		"directory":   {DataDir: file, Listen: "127.0.0.1:0", AccessKey: "a", SecretKey: "s"},
	} {
		if err := objectstore.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func start(t *testing.T, dir string) (*objects.Bucket, func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- objectstore.Run(ctx, objectstore.Config{
			DataDir: dir, Listen: address, Region: "us-east-1", AccessKey: "key", SecretKey: "secret",
		})
	}()
	stop := func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the store ended with %v", err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		response, err := http.Get("http://" + address + objectstore.HealthPath)
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				break
			}
		}
		if time.Now().After(deadline) {
			stop()
			t.Fatalf("the store is not healthy after 20 s: %v", err)
		}
	}
	bucket, err := objects.Open(t.Context(), objects.Config{
		Bucket: "media", Endpoint: "http://" + address, Region: "us-east-1", PathStyle: true,
	})
	if err != nil {
		stop()
		t.Fatal(err)
	}
	return bucket, stop
}
