// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Folder is a Sink that keeps units as files: for tools and tests without an
// object store. A unit that is there is not made again.
type Folder struct {
	Dir      string
	Clock    timeline.Timeline
	Units    []Unit
	EndTicks int64
	Ended    bool
}

// Path is where the unit with the given first tick is kept.
func (f *Folder) Path(firstTicks int64) string {
	return filepath.Join(f.Dir, fmt.Sprintf("%013d.ts", firstTicks))
}

// Timeline implements Sink.
func (f *Folder) Timeline(_ context.Context, tl timeline.Timeline, _ []mpegts.Stream) error {
	f.Clock = tl
	return nil
}

// Already implements Sink.
func (f *Folder) Already(firstTicks int64) bool {
	_, err := os.Stat(f.Path(firstTicks))
	return err == nil
}

// Unit implements Sink. The bytes go to disk, the rest is kept.
func (f *Folder) Unit(_ context.Context, u Unit) error {
	tmp := f.Path(u.FirstTicks) + ".part"
	if err := os.WriteFile(tmp, u.Data, 0o644); err != nil {
		return err
	}
	u.Data = nil
	f.Units = append(f.Units, u)
	return os.Rename(tmp, f.Path(u.FirstTicks))
}

// End implements Sink.
func (f *Folder) End(_ context.Context, endTicks, frames int64) error {
	f.EndTicks, f.Clock.Frames, f.Ended = endTicks, frames, true
	return nil
}
