// SPDX-License-Identifier: Apache-2.0

// Package storetest runs the real embedded object store for tests: once per package, from TestMain, because
// there can be one in a process. Each test takes a bucket of its own.
package storetest

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore"
)

const (
	accessKey = "test-access-key"
	secretKey = "test-secret-key"
	region    = "us-east-1"
)

// Endpoint is where the store listens while Main runs.
var Endpoint string

// Main runs a package's tests beside a store: func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }.
// The process's working directory is kept.
func Main(m *testing.M) int {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "object store for tests:", err)
		return 1
	}
	return code
}

func run(m *testing.M) (int, error) {
	wd, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "mre-storetest-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey} {
		if err := os.Setenv(name, value); err != nil {
			return 0, err
		}
	}
	address, err := freeAddress()
	if err != nil {
		return 0, err
	}
	Endpoint = "http://" + address
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- objectstore.Run(ctx, objectstore.Config{
			DataDir: dir, Listen: address, Region: region, AccessKey: accessKey, SecretKey: secretKey,
		})
	}()
	if err := waitHealthy(ended); err != nil {
		cancel()
		return 0, err
	}
	// The gateway resolves its paths against a directory it holds open, so the tests can have theirs back.
	if err := os.Chdir(wd); err != nil {
		cancel()
		return 0, err
	}
	code := m.Run()
	cancel()
	return code, <-ended
}

// Bucket makes a bucket for a test.
func Bucket(t *testing.T, change ...func(*objects.Config)) *objects.Bucket {
	t.Helper()
	config := objects.Config{
		Bucket:   fmt.Sprintf("test-%d", time.Now().UnixNano()),
		Endpoint: Endpoint, Region: region, PathStyle: true,
	}
	for _, f := range change {
		f(&config)
	}
	bucket, err := objects.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.EnsureBucket(t.Context()); err != nil {
		t.Fatal(err)
	}
	return bucket
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

func waitHealthy(ended <-chan error) error {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case err := <-ended:
			return fmt.Errorf("ended early: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
		response, err := http.Get(Endpoint + objectstore.HealthPath)
		if err != nil {
			continue
		}
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return nil
		}
	}
	return fmt.Errorf("%s is not healthy after 20 s", Endpoint)
}
