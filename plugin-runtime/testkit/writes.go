// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxFiles bounds the look for files that were written.
const maxFiles = 20_000

var errTooMany = errors.New("too many files")

// file is what changes when somebody writes.
type file struct {
	size int64
	at   time.Time
}

// folders are where a plugin may be tempted to write: where it lies, and where its media are.
func (k *kit) folders() []string {
	dir := k.o.Dir
	if dir == "" {
		dir = "."
	}
	return []string{dir, k.o.mediaDir}
}

// snapshot is nil when there is too much to look at.
func snapshot(folders []string) (map[string]file, error) {
	out := map[string]file{}
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil {
				return nil //nolint:nilerr // What cannot be read, or has just gone, is nothing that was written.
			}
			if entry.IsDir() {
				// Python leaves its byte code, and does without where it cannot.
				if entry.Name() == "__pycache__" || entry.Name() == ".git" {
					return filepath.SkipDir
				}
				return nil
			}
			// The agent's pictures are no plugin's work.
			if strings.HasPrefix(entry.Name(), "frames-") {
				return nil
			}
			if len(out) == maxFiles {
				return errTooMany
			}
			if info, err := entry.Info(); err == nil {
				out[path] = file{info.Size(), info.ModTime()}
			}
			return nil
		})
		if errors.Is(err, errTooMany) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// wrote compares the folders with what they were.
func (k *kit) wrote(before map[string]file) error {
	after, err := snapshot(k.folders())
	if err != nil {
		return err
	}
	if before == nil || after == nil {
		k.report.skip("writes", "the working folder has more than %d files: start the test in the plugin's own", maxFiles)
		return nil
	}
	var changed []string
	for _, path := range slices.Sorted(maps.Keys(after)) {
		if before[path] != after[path] {
			changed = append(changed, path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[path]; !ok {
			changed = append(changed, path)
		}
	}
	if wd, err := os.Getwd(); err == nil {
		for i := range changed {
			changed[i] = strings.TrimPrefix(changed[i], wd+"/")
		}
	}
	if len(changed) > 0 {
		more := ""
		if n := len(changed) - 5; n > 0 {
			changed, more = changed[:5], " and more"
		}
		k.report.fail("writes", "write below /tmp and nowhere else: all else is read-only in the cluster",
			"it wrote or removed %s%s", strings.Join(changed, ", "), more)
		return nil
	}
	k.report.pass("writes", "nothing was written where the command and the media lie")
	return nil
}
