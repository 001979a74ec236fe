// SPDX-License-Identifier: Apache-2.0

// Package chunkfile keeps chunks as one file each, for plugins in containers.
//
// A chunk's units are MPEG-TS on one continuous timeline, each of which begins with a key frame, so their bytes one
// after the other are the chunk. The file is made once per pod, whichever plugin asks first, and is there whole or
// not at all. The last chunks stay, as plugins of one chunk seldom run in one go.
package chunkfile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/unitcache"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// keep is how many chunks stay that nobody uses.
const keep = 2

// Store is safe for use by several goroutines.
type Store struct {
	dir   string
	units *unitcache.Cache

	mu sync.Mutex
	// chunks are those on the disk or being made, the least recently used first.
	chunks []*chunk
	// stubborn are folders that could not be removed: something still wrote there, such as a decoder being stopped.
	stubborn []string
}

// chunk is a folder with one file.
type chunk struct {
	folder string
	media  invocation.Media
	users  int
	// ready is closed when the file is there, or err says why it is not.
	ready chan struct{}
	err   error
}

// New keeps chunks in a folder. What an earlier process left there goes.
func New(dir string, units *unitcache.Cache) (*Store, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of chunks (is the media volume mounted?): %w", err)
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
			return nil, fmt.Errorf("empty the folder of chunks: %w", err)
		}
	}
	return &Store{dir: dir, units: units}, nil
}

// Get returns a chunk as a file, or nil where no media came. The file stays until release is called.
func (s *Store) Get(ctx context.Context, event api.PlanEvent,
	media api.ChunkMedia) (m *invocation.Media, release func(), err error) {
	if len(media.Units) == 0 {
		return nil, func() {}, nil
	}
	for {
		c, mine := s.enter(s.folder(media))
		if mine {
			c.media, c.err = s.build(ctx, c.folder, Name(event, media.Chunk.Number), media)
			close(c.ready)
		}
		select {
		case <-c.ready:
		case <-ctx.Done():
			s.leave(c)
			return nil, nil, context.Cause(ctx)
		}
		if c.err == nil {
			var once sync.Once
			return &c.media, func() { once.Do(func() { s.leave(c) }) }, nil
		}
		s.leave(c)
		if mine || ctx.Err() != nil {
			return nil, nil, c.err
		}
		// Who made it gave up, perhaps for a reason of its own.
	}
}

// folder names a chunk by its units: late media makes another file of the same number.
func (s *Store) folder(media api.ChunkMedia) string {
	sum := sha256.New()
	for _, u := range media.Units {
		fmt.Fprintf(sum, "%s\n", u.Key)
	}
	return filepath.Join(s.dir, fmt.Sprintf("%05d-%s", media.Chunk.Number, hex.EncodeToString(sum.Sum(nil)[:6])))
}

var unfit = regexp.MustCompile(`[^A-Za-z0-9_-]`)

// Name is the name of a chunk's file. MRE plugins take it apart: the chunk's number is what follows the last
// underscore, and there is one dot.
func Name(event api.PlanEvent, number int64) string {
	return fmt.Sprintf("%s_%s_1_%05d.ts", unfit.ReplaceAllString(event.Program, "-"),
		unfit.ReplaceAllString(event.Name, "-"), number)
}

// enter finds a chunk or makes a place for it; mine says that the caller has to make it.
func (s *Store) enter(folder string) (c *chunk, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.IndexFunc(s.chunks, func(c *chunk) bool { return c.folder == folder }); i >= 0 {
		c = s.chunks[i]
		s.chunks = append(slices.Delete(s.chunks, i, i+1), c)
		c.users++
		return c, false
	}
	c = &chunk{folder: folder, users: 1, ready: make(chan struct{})}
	s.chunks = append(s.chunks, c)
	return c, true
}

// leave ends a use. What could not be made is forgotten, and what is used least goes, at the next occasion if not now.
func (s *Store) leave(c *chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.users--
	stay := keep
	var left []*chunk
	for _, c := range slices.Backward(s.chunks) {
		select {
		case <-c.ready:
		default:
			left = append(left, c)
			continue
		}
		if c.err == nil && (c.users > 0 || stay > 0) {
			stay--
			left = append(left, c)
			continue
		}
		if c.users > 0 {
			continue // Its maker failed; its last user removes nothing.
		}
		s.stubborn = append(s.stubborn, c.folder)
	}
	slices.Reverse(left)
	s.chunks = left
	s.stubborn = slices.DeleteFunc(s.stubborn, func(folder string) bool {
		return slices.ContainsFunc(left, func(c *chunk) bool { return c.folder == folder }) || os.RemoveAll(folder) == nil
	})
}

// build makes the file, beside its place, and moves it there when it is whole.
func (s *Store) build(ctx context.Context, folder, name string, media api.ChunkMedia) (m invocation.Media, err error) {
	paths, release, err := s.units.Get(ctx, media.Units)
	if err != nil {
		return m, fmt.Errorf("fetch chunk %d: %w", media.Chunk.Number, err)
	}
	defer release()
	if err := os.Mkdir(folder, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return m, fmt.Errorf("make the file of chunk %d (is the media volume writable?): %w", media.Chunk.Number, err)
	}
	m = invocation.Media{Path: filepath.Join(folder, name), Name: name}
	part := m.Path + ".part"
	defer func() {
		if err != nil {
			err = fmt.Errorf("make the file of chunk %d: %w", media.Chunk.Number, err)
			_ = os.RemoveAll(folder)
		}
	}()
	out, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return m, err
	}
	for _, path := range paths {
		n, err := appendFile(out, path)
		if err != nil {
			_ = out.Close()
			return m, err
		}
		m.Bytes += n
	}
	if err := out.Close(); err != nil {
		return m, err
	}
	return m, os.Rename(part, m.Path)
}

func appendFile(out *os.File, path string) (int64, error) {
	in, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }()
	return io.Copy(out, in)
}
