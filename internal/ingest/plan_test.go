// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// film is a source that can be copied.
func film() probe.Info {
	return probe.Info{
		Video: probe.Video{Codec: "h264", PixelFormat: "yuv420p", FieldOrder: "progressive", Width: 1280, Height: 720,
			SAR: timeline.Rational{Num: 1, Den: 1}, Rate: timeline.Rational{Num: 25, Den: 1}},
		Audio: []probe.Audio{{Track: 1, Index: 1, Codec: "aac", Profile: "LC", SampleRate: 48000, Channels: 2}},
		Scan:  &probe.Scan{Frames: 250, Entries: 10},
	}
}

// TestPlan goes on with a source as it was decided at first, whatever another
// look at it finds.
func TestPlan(t *testing.T) {
	timelineOf := func(mode api.TimelineIngest, parts ...api.IngestPart) *api.Timeline {
		return &api.Timeline{OriginTicks: 900000, Rate: api.Rational{Num: 25, Den: 1}, Width: 1280, Height: 720,
			Ingest: mode, IngestReason: "as before", AudioTracks: []api.AudioTrack{{Track: 1}}, Parts: parts}
	}
	later := api.IngestPart{FirstFrame: 150, Ingest: api.IngestPartIngestMezzanine, Reason: "the rate changes"}
	next := &api.IngestPosition{Frame: 300, Micros: 12_000_000}
	at := &ingest.Position{OriginTicks: 900000, Frame: 300}
	cases := []struct {
		name     string
		timeline *api.Timeline
		change   func(i *probe.Info)
		mode     probe.Mode
		resume   *ingest.Position
		copied   bool
		fails    string
	}{
		{name: "first", mode: probe.Copy, copied: true},
		{name: "copied", timeline: timelineOf(api.TimelineIngestCopy), mode: probe.Copy, resume: at, copied: true},
		{name: "copied, and damaged at this look", timeline: timelineOf(api.TimelineIngestCopy),
			change: func(i *probe.Info) { i.Scan.Broken = "the first seconds are damaged" },
			mode:   probe.Copy, resume: at, copied: true},
		{name: "copied to a point", timeline: timelineOf(api.TimelineIngestCopy, later), mode: probe.Mezzanine, resume: at},
		{name: "mezzanine", timeline: timelineOf(api.TimelineIngestMezzanine), mode: probe.Mezzanine, resume: at},
		{name: "another codec", timeline: timelineOf(api.TimelineIngestCopy),
			change: func(i *probe.Info) { i.Video.Codec, i.Scan = "hevc", nil }, fails: "its video was H.264, and is hevc"},
		{name: "another size", timeline: timelineOf(api.TimelineIngestMezzanine),
			change: func(i *probe.Info) { i.Video.Width = 640 }, fails: "had 1280x720, and have 640x720"},
		{name: "another track", timeline: timelineOf(api.TimelineIngestMezzanine),
			change: func(i *probe.Info) { i.Audio = nil }, fails: "it had 1 audio tracks, and has 0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			info := film()
			if c.change != nil {
				c.change(&info)
			}
			spec := api.IngestSpec{ChunkSeconds: 20, Timeline: c.timeline}
			if c.timeline != nil {
				spec.Next = next
			}
			job, err := plan(spec, info)
			if c.fails != "" {
				if source, ok := errors.AsType[*SourceError](err); !ok || !strings.Contains(source.Error(), c.fails) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil || job.Decision.Mode != c.mode || job.Decision.Sound[0].Copy != c.copied {
				t.Fatalf("%+v, %v", job.Decision, err)
			}
			if d := cmp.Diff(c.resume, job.Resume); d != "" {
				t.Error(d)
			}
		})
	}
}
