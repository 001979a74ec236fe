// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// latency is how long after its close a chunk was through.
type latency struct {
	chunk     int64
	closed    time.Time
	segmented time.Duration
	// clips that come of segments which ended in the chunk; rendered is when the last of them was there.
	clips, rendered int
	clipsAfter      time.Duration
}

// latencyOf is that of the last chunk that was segmented, and that of the last one whose clips are rendered when it is
// another.
func latencyOf(chunks []api.Chunk, tasks []api.Task, segments []api.Segment, clips []api.Clip) []latency {
	segmented := map[int64]time.Time{}
	for i := range tasks {
		t := &tasks[i]
		if t.Kind == api.TaskKindSegmenter && t.State == api.TaskStateDone && t.FinishedAt != nil {
			segmented[t.Chunk] = *t.FinishedAt
		}
	}
	endedIn := map[string]int64{}
	for i := range segments {
		if segments[i].ClosedChunk != nil {
			endedIn[segments[i].ID] = *segments[i].ClosedChunk
		}
	}
	var last, withClips *latency
	for i := range chunks {
		c := &chunks[i]
		done, ok := segmented[c.Extent.Number]
		if !ok || c.ClosedAt == nil {
			continue
		}
		l := &latency{chunk: c.Extent.Number, closed: *c.ClosedAt, segmented: done.Sub(*c.ClosedAt)}
		l.count(clips, endedIn)
		last = l
		if l.clips > 0 && l.clips == l.rendered {
			withClips = l
		}
	}
	switch {
	case last == nil:
		return nil
	case withClips == nil || withClips.chunk == last.chunk:
		return []latency{*last}
	}
	return []latency{*last, *withClips}
}

func (l *latency) count(clips []api.Clip, endedIn map[string]int64) {
	for i := range clips {
		c := &clips[i]
		if chunk, ok := endedIn[c.SegmentID]; !ok || chunk != l.chunk {
			continue
		}
		l.clips++
		if c.RenderedAt != nil && c.State == api.ClipStateRendered {
			l.rendered++
			l.clipsAfter = max(l.clipsAfter, c.RenderedAt.Sub(l.closed))
		}
	}
}

func (l latency) String() string {
	text := fmt.Sprintf("chunk %d: closed %s, segmented after %s",
		l.chunk, l.closed.Local().Format(time.TimeOnly), took(l.segmented))
	switch {
	case l.clips == 0:
		return text + ", no segment ended in it"
	case l.rendered < l.clips:
		return text + fmt.Sprintf(", %d of %d clips rendered", l.rendered, l.clips)
	case l.clips == 1:
		return text + fmt.Sprintf(", its clip rendered after %s", took(l.clipsAfter))
	}
	return text + fmt.Sprintf(", its %d clips rendered after %s", l.clips, took(l.clipsAfter))
}
