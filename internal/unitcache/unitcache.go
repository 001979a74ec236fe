// SPDX-License-Identifier: Apache-2.0

// Package unitcache keeps stored units on the local disk for the tasks that
// read them.
//
// The least recently used units go when there is no room. A unit that a task
// reads stays until the task is done with it.
package unitcache

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/errgroup"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/presigned"
)

const (
	// downloads at a time: they wait for the store more than for us.
	downloads = 4
	// attempts at one download.
	attempts = 4
	// stall ends a download that gets no byte for so long.
	stall = 30 * time.Second
)

// Cache is safe for use by many goroutines.
type Cache struct {
	dir  string
	room int64
	http *http.Client

	mu    sync.Mutex
	units map[string]*unit // by object key
	used  *list.List       // of *unit, the least recent first
	size  int64
}

type unit struct {
	key, path string
	bytes     int64
	pins      int
	ready     chan struct{} // closed when the download has ended
	err       error
	place     *list.Element
}

// New makes a cache that uses at most room bytes of dir, and more only where
// a single task needs it. What an earlier process left in dir goes.
func New(dir string, room int64) (*Cache, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("empty the unit cache: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the unit cache (is the scratch volume mounted and writable?): %w", err)
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = downloads
	t.ResponseHeaderTimeout = stall
	// Media does not get smaller, and the length must be that of the bytes.
	t.DisableCompression = true
	return &Cache{dir: dir, room: room, http: &http.Client{Transport: t}, units: map[string]*unit{}, used: list.New()}, nil
}

// Get returns the paths of units, in order, after downloading what is not
// there. The files stay until release is called.
func (c *Cache) Get(ctx context.Context, refs []api.UnitRef) (paths []string, release func(), err error) {
	held := make([]*unit, len(refs))
	var once sync.Once
	release = func() {
		once.Do(func() { c.unpin(held) })
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(downloads)
	paths = make([]string, len(refs))
	for i, ref := range refs {
		u, mine := c.pin(ref.Key)
		held[i], paths[i] = u, u.path
		g.Go(func() error {
			if mine {
				c.fill(gctx, u, ref.URL)
			}
			select {
			case <-u.ready:
				return u.err
			case <-gctx.Done():
				return context.Cause(gctx)
			}
		})
	}
	if err := g.Wait(); err != nil {
		release()
		return nil, func() {}, presigned.InTime(ctx, err)
	}
	return paths, release, nil
}

// pin finds a unit or makes a place for it; mine says that the caller has to
// fill it.
func (c *Cache) pin(key string) (u *unit, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if u, ok := c.units[key]; ok {
		u.pins++
		c.used.MoveToBack(u.place)
		return u, false
	}
	sum := sha256.Sum256([]byte(key))
	u = &unit{key: key, path: filepath.Join(c.dir, hex.EncodeToString(sum[:16])+".ts"),
		pins: 1, ready: make(chan struct{})}
	u.place = c.used.PushBack(u)
	c.units[key] = u
	return u, true
}

func (c *Cache) unpin(held []*unit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range held {
		if u != nil {
			u.pins--
		}
	}
	c.evict()
}

// evict removes what nobody reads until the rest fits.
func (c *Cache) evict() {
	for e := c.used.Front(); e != nil && c.size > c.room; {
		u := e.Value.(*unit)
		e = e.Next()
		if u.pins == 0 {
			c.drop(u)
		}
	}
}

// drop forgets a unit; a place that was taken over by a new try stays.
func (c *Cache) drop(u *unit) {
	if c.units[u.key] != u {
		return
	}
	delete(c.units, u.key)
	c.used.Remove(u.place)
	c.size -= u.bytes
	_ = os.Remove(u.path)
}

// fill downloads a unit into its place.
func (c *Cache) fill(ctx context.Context, u *unit, url string) {
	n, err := c.download(ctx, u.path, url)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		u.err = fmt.Errorf("fetch unit %s: %w", u.key, err)
		c.drop(u)
	} else {
		u.bytes = n
		c.size += n
	}
	close(u.ready)
}

func (c *Cache) download(ctx context.Context, path, url string) (int64, error) {
	steps := backoff.NewExponentialBackOff()
	steps.InitialInterval, steps.MaxInterval = 100*time.Millisecond, 2*time.Second
	return backoff.Retry(ctx, func() (int64, error) { return c.once(ctx, path, url) },
		backoff.WithBackOff(steps), backoff.WithMaxTries(attempts))
}

// once writes beside the place and moves the file there when it is whole.
func (c *Cache) once(ctx context.Context, path, url string) (n int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, backoff.Permanent(errors.New("the URL of the unit is not one"))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, presigned.Away(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		return 0, presigned.Refused(resp, said)
	}
	part := path + ".part"
	f, err := os.Create(part)
	if err != nil {
		return 0, backoff.Permanent(err)
	}
	defer func() {
		if err != nil {
			if rm := os.Remove(part); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
				err = errors.Join(err, rm)
			}
		}
	}()
	watch := time.AfterFunc(stall, func() { cancel(fmt.Errorf("no data for %s", stall)) })
	defer watch.Stop()
	n, err = io.Copy(f, &touching{resp.Body, watch})
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	_, disk := errors.AsType[*fs.PathError](err)
	switch {
	case disk:
		return 0, backoff.Permanent(err)
	case err != nil:
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return 0, presigned.Away(err)
	case resp.ContentLength >= 0 && n != resp.ContentLength:
		return 0, presigned.Away(fmt.Errorf("%d of %d bytes came", n, resp.ContentLength))
	}
	return n, os.Rename(part, path)
}

// touching puts a stall timer off with every read.
type touching struct {
	io.Reader
	watch *time.Timer
}

func (t *touching) Read(p []byte) (int, error) {
	n, err := t.Reader.Read(p)
	if n > 0 {
		t.watch.Reset(stall)
	}
	return n, err
}
