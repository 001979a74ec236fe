// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/ingest"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// clip is a recording as an Event has it: chunks on a timeline, each one file.
type clip struct {
	timeline api.Timeline
	chunks   []chunk
}

type chunk struct {
	extent api.ChunkExtent
	media  invocation.Media
}

// errEnough ends the cutting of what nobody looks at.
var errEnough = errors.New("enough chunks")

// firstUnits is a folder of units that is full when it holds the first chunks.
type firstUnits struct {
	ingest.Folder
	untilMicros int64
}

func (f *firstUnits) Unit(ctx context.Context, u ingest.Unit) error {
	if u.StartMicros >= f.untilMicros {
		return errEnough
	}
	return f.Folder.Unit(ctx, u)
}

// cut makes the first chunks of a recording, as ingest and agent do.
func cut(ctx context.Context, path, dir string, plan *api.Plan, most int) (*clip, error) {
	info, err := probe.Probe(ctx, path)
	if err != nil {
		return nil, err
	}
	decision := probe.Decide(info)
	length := int64(plan.ChunkSeconds) * 1_000_000
	units := filepath.Join(dir, "units")
	files := filepath.Join(dir, "media")
	for _, d := range []string{units, files} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return nil, err
		}
	}
	f := &firstUnits{Folder: ingest.Folder{Dir: units}, untilMicros: length * int64(most)}
	config := ingest.Config{URL: path, Info: info, Decision: decision, ChunkSeconds: int64(plan.ChunkSeconds)}
	if err := ingest.Run(ctx, config, f); err != nil && !errors.Is(err, errEnough) {
		return nil, err
	}
	if len(f.Units) == 0 {
		return nil, fmt.Errorf("%s has no picture", path)
	}
	c := &clip{timeline: timelineOf(f.Clock, info, decision)}
	grouped := map[int64][]ingest.Unit{}
	last := int64(0)
	for _, u := range f.Units {
		n := u.StartMicros/length + 1
		grouped[n] = append(grouped[n], u)
		last = max(last, n)
	}
	for n := int64(1); n <= last; n++ {
		if len(grouped[n]) == 0 {
			continue
		}
		one, err := join(&f.Folder, files, plan, n, grouped[n])
		if err != nil {
			return nil, err
		}
		c.chunks = append(c.chunks, one)
	}
	return c, nil
}

func timelineOf(clock timeline.Timeline, info probe.Info, decision probe.Decision) api.Timeline {
	t := api.Timeline{
		OriginTicks: clock.OriginTicks, Rate: api.Rational{Num: clock.Rate.Num, Den: clock.Rate.Den},
		Width: int32(info.Video.Width &^ 1), Height: int32(info.Video.Height &^ 1),
		Ingest: api.TimelineIngest(decision.Mode), IngestReason: decision.Reason, AudioTracks: []api.AudioTrack{},
	}
	for _, a := range info.Audio {
		track := api.AudioTrack{Track: int32(a.Track), StreamIndex: int32(a.Index),
			SampleRate: int32(a.SampleRate), Channels: int32(a.Channels)}
		if a.Language != "" {
			track.Language = &a.Language
		}
		t.AudioTracks = append(t.AudioTracks, track)
	}
	return t
}

// join makes one file of a chunk's units. It may be read and nothing else.
func join(f *ingest.Folder, dir string, plan *api.Plan, number int64, units []ingest.Unit) (chunk, error) {
	first, last := units[0], units[len(units)-1]
	c := chunk{extent: api.ChunkExtent{
		Number: number, StartMicros: first.StartMicros, EndMicros: last.EndMicros,
		FirstFrame: first.FrameStart, Frames: last.FrameStart + last.Frames - first.FrameStart,
	}}
	// A folder each: decoded pictures are kept beside the file.
	folder := filepath.Join(dir, strconv.FormatInt(number, 10))
	if err := os.Mkdir(folder, 0o755); err != nil {
		return c, err
	}
	c.media.Name = invocation.MediaName(plan, number)
	c.media.Path = filepath.Join(folder, c.media.Name)
	out, err := os.OpenFile(c.media.Path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o444)
	if err != nil {
		return c, err
	}
	defer func() { _ = out.Close() }()
	for _, u := range units {
		in, err := os.Open(f.Path(u.FirstTicks))
		if err != nil {
			return c, err
		}
		n, err := io.Copy(out, in)
		_ = in.Close()
		if err != nil {
			return c, err
		}
		c.media.Bytes += n
	}
	return c, out.Close()
}
