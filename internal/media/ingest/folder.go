// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Folder is a Sink that keeps units as files: for tools and tests without an
// object store. A unit that is there is not made again.
type Folder struct {
	Dir   string
	Clock timeline.Timeline
	// Decision is what was declared with the timeline, Parts what followed.
	Decision   probe.Decision
	Parts      []Part
	Units      []Unit
	EndTicks   int64
	Ended      bool
	Incomplete string
}

// Path is where the unit with the given first tick is kept.
func (f *Folder) Path(firstTicks int64) string {
	return filepath.Join(f.Dir, fmt.Sprintf("%013d.ts", firstTicks))
}

// Timeline implements Sink.
func (f *Folder) Timeline(_ context.Context, tl timeline.Timeline, d probe.Decision) error {
	f.Clock, f.Decision = tl, d
	return nil
}

// Part implements Sink.
func (f *Folder) Part(_ context.Context, p Part) error {
	f.Parts = append(f.Parts, p)
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

// End implements Sink. From then on the clock knows all units.
func (f *Folder) End(_ context.Context, e End) error {
	f.EndTicks, f.Clock.Frames, f.Ended, f.Incomplete = e.Ticks, e.Frames, true, e.Incomplete
	for _, u := range f.Units {
		start := f.Clock.AnchorAt(u.FrameStart, u.StartMicros)
		end := f.Clock.AnchorAt(u.FrameStart+u.Frames, u.EndMicros)
		if start.ShiftTicks != 0 || end.ShiftTicks != 0 {
			f.Clock.Anchors = append(f.Clock.Anchors, start, end)
		}
	}
	return nil
}
