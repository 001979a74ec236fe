// SPDX-License-Identifier: Apache-2.0

package objects_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func TestObjectsAreWrittenReadListedAndDeleted(t *testing.T) {
	for _, prefix := range []string{"", "install-a/"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			bucket := storetest.Bucket(t, func(c *objects.Config) { c.Prefix = prefix })
			if err := bucket.EnsureBucket(t.Context()); err != nil {
				t.Fatalf("a second EnsureBucket: %v", err)
			}
			keys := []string{"ns/a/clips/1.mp4", "ns/a/units/0/1.ts", "ns/b/units/0/1.ts"}
			for _, key := range keys {
				if err := bucket.Put(t.Context(), key, "text/plain", []byte(key)); err != nil {
					t.Fatal(err)
				}
			}
			body, err := bucket.Get(t.Context(), keys[0])
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || string(got) != keys[0] {
				t.Fatalf("got %q, %v", got, err)
			}
			if got := list(t, bucket, "ns/a/"); !cmp.Equal(got, keys[:2]) {
				t.Errorf("listed %v", got)
			}
			if got, err := bucket.Folders(t.Context(), "ns/"); err != nil || !cmp.Equal(got, []string{"a", "b"}) {
				t.Errorf("folders %v, %v", got, err)
			}
			info, err := bucket.Head(t.Context(), keys[1])
			if err != nil || info.Bytes != int64(len(keys[1])) ||
				info.Key != keys[1] || time.Since(info.Modified) > time.Minute {
				t.Errorf("head %+v, %v", info, err)
			}
			if err := bucket.Delete(t.Context(), []string{keys[0], keys[1], "ns/a/never/was"}); err != nil {
				t.Fatal(err)
			}
			if got := list(t, bucket, ""); !cmp.Equal(got, keys[2:]) {
				t.Errorf("left after deletion: %v", got)
			}
			if _, err := bucket.Head(t.Context(), keys[0]); !errors.Is(err, objects.ErrNotFound) {
				t.Errorf("head of a deleted object: %v", err)
			}
			if _, err := bucket.Get(t.Context(), keys[0]); !errors.Is(err, objects.ErrNotFound) {
				t.Errorf("get of a deleted object: %v", err)
			}
		})
	}
}

func TestDeleteTakesMoreKeysThanOneCallHolds(t *testing.T) {
	bucket := storetest.Bucket(t)
	keys := make([]string, 1005)
	for i := range keys {
		keys[i] = fmt.Sprintf("ns/uid/units/0/%013d.ts", i)
		if err := bucket.Put(t.Context(), keys[i], "video/mp2t", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(t, bucket, "ns/uid/"); len(got) != len(keys) {
		t.Fatalf("listed %d of %d", len(got), len(keys))
	}
	if err := bucket.Delete(t.Context(), keys); err != nil {
		t.Fatal(err)
	}
	if got := list(t, bucket, ""); len(got) != 0 {
		t.Errorf("%d objects left", len(got))
	}
}

func TestPresignedPutCreatesOnceOnly(t *testing.T) {
	bucket := storetest.Bucket(t, func(c *objects.Config) { c.Prefix = "p/" })
	upload, err := bucket.PresignPutCreateOnly(t.Context(), "ns/uid/units/0/1.ts", "video/mp2t", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"If-None-Match": "*", "Content-Type": "video/mp2t"}
	if diff := cmp.Diff(want, upload.Headers); diff != "" {
		t.Errorf("headers to send (-want +got):\n%s", diff)
	}
	for _, step := range []struct {
		name    string
		headers map[string]string
		status  int
	}{
		{"without the signed headers", nil, http.StatusForbidden},
		{"first", upload.Headers, http.StatusOK},
		{"second", upload.Headers, http.StatusPreconditionFailed},
	} {
		if got := put(t, upload.URL, step.headers, step.name); got != step.status {
			t.Errorf("%s: status %d, want %d", step.name, got, step.status)
		}
	}
	body, err := bucket.Get(t.Context(), "ns/uid/units/0/1.ts")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, _ := io.ReadAll(body); string(got) != "first" {
		t.Errorf("stored %q", got)
	}
}

func TestPresignedGet(t *testing.T) {
	bucket := storetest.Bucket(t, func(c *objects.Config) {
		c.PublicEndpoint = strings.Replace(storetest.Endpoint, "127.0.0.1", "localhost", 1)
	})
	key := "ns/uid/clips/a b+ü.mp4"
	if err := bucket.Put(t.Context(), key, "video/mp4", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	internal, err := bucket.PresignGet(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	public, err := bucket.PresignPublicGet(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	source, err := bucket.PresignSource(t.Context(), bucket.Location(key), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for name, signed := range map[string]string{"internal": internal, "public": public, "source": source} {
		if status, body := get(t, signed, "bytes=2-4"); status != http.StatusPartialContent || body != "234" {
			t.Errorf("%s: %d %q", name, status, body)
		}
	}
	if host := mustParse(t, public).Hostname(); host != "localhost" {
		t.Errorf("the public URL points at %s", host)
	}
	if status, _ := get(t, strings.Replace(internal, "clips", "units", 1), ""); status != http.StatusForbidden {
		t.Errorf("a changed key answers %d", status)
	}
}

func TestLocations(t *testing.T) {
	bucket := storetest.Bucket(t, func(c *objects.Config) { c.Prefix = "p/" })
	if key, ok := bucket.Key(bucket.Location("ns/uid/x")); !ok || key != "ns/uid/x" {
		t.Errorf("got %q, %v", key, ok)
	}
	if _, ok := bucket.Key("s3://other/p/ns/uid/x"); ok {
		t.Error("another bucket's location has a key")
	}
	for _, bad := range []string{"", "s3://", "s3://bucket", "s3://bucket/", "s3:///key", "https://bucket/key"} {
		if _, _, err := objects.SplitLocation(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestBadConfigurationIsNamed(t *testing.T) {
	good := objects.Config{Bucket: "b", Region: "r"}
	for name, change := range map[string]func(*objects.Config){
		"name":     func(c *objects.Config) { c.Bucket = "" },
		"region":   func(c *objects.Config) { c.Region = "" },
		"prefix":   func(c *objects.Config) { c.Prefix = "no-slash" },
		"endpoint": func(c *objects.Config) { c.Endpoint = "localhost:7070" },
	} {
		config := good
		change(&config)
		if _, err := objects.Open(t.Context(), config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func list(t *testing.T, bucket *objects.Bucket, prefix string) []string {
	t.Helper()
	var keys []string
	for info, err := range bucket.List(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, info.Key)
	}
	return keys
}

func put(t *testing.T, to string, headers map[string]string, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, to, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func get(t *testing.T, from, byteRange string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	if byteRange != "" {
		request.Header.Set("Range", byteRange)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func mustParse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
