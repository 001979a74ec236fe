// SPDX-License-Identifier: Apache-2.0

// Package storetest runs the real embedded object store for tests: once per package, from TestMain. It runs as a
// process of its own, as it does in a cluster, because it changes the working directory of its process and finds
// its buckets by it. Each test takes a bucket of its own.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore"
)

const (
	accessKey = "test-access-key"
	secretKey = "test-secret-key"
	region    = "us-east-1"

	// childAddress and childDir tell a test binary that it is to be the store.
	childAddress = "MRE_STORETEST_ADDRESS"
	childDir     = "MRE_STORETEST_DIR"
)

// Endpoint is where the store listens while Main runs.
var Endpoint string

// Main runs a package's tests beside a store: func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }.
// It sets AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the tests.
func Main(m *testing.M) int {
	if address := os.Getenv(childAddress); address != "" {
		return beStore(address, os.Getenv(childDir))
	}
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "object store for tests:", err)
		return 1
	}
	return code
}

// beStore serves until standard input ends, so that it never outlives the tests.
func beStore(address, dir string) int {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	err := objectstore.Run(ctx, objectstore.Config{
		DataDir: dir, Listen: address, Region: region, AccessKey: accessKey, SecretKey: secretKey,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "object store for tests:", err)
		return 1
	}
	return 0
}

func run(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "mre-storetest-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey} {
		if err := os.Setenv(name, value); err != nil {
			return 0, err
		}
	}
	address, err := freeAddress()
	if err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	store := exec.Command(self)
	store.Env = append(os.Environ(), childAddress+"="+address, childDir+"="+dir)
	store.Stderr = os.Stderr
	hold, err := store.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := store.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- store.Wait() }()
	Endpoint = "http://" + address
	if err := waitHealthy(ended); err != nil {
		return 0, errors.Join(err, hold.Close())
	}
	code = m.Run()
	if err := hold.Close(); err != nil {
		return code, err
	}
	return code, <-ended
}

// Bucket makes a bucket for a test.
func Bucket(t testing.TB, change ...func(*objects.Config)) *objects.Bucket {
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
