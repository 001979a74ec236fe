// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// facts are all that must not depend on what died: name and value. Times, keys of objects and who did it are left out.
type facts map[string]string

// damage is how the facts of an Event differ from those of the calm one.
type damage struct{ lost, doubled, changed []string }

func (d *damage) add(other damage) {
	d.lost = append(d.lost, other.lost...)
	d.doubled = append(d.doubled, other.doubled...)
	d.changed = append(d.changed, other.changed...)
}

func (d damage) String() string {
	return fmt.Sprintf("lost:\n  %s\ndoubled:\n  %s\nchanged:\n  %s",
		strings.Join(d.lost, "\n  "), strings.Join(d.doubled, "\n  "), strings.Join(d.changed, "\n  "))
}

func (d damage) none() bool { return len(d.lost)+len(d.doubled)+len(d.changed) == 0 }

// counts says how much there is of what, so that nobody is content with nothing.
func (f facts) counts() string {
	kinds := map[string]int{}
	for name := range f {
		kind, _, _ := strings.Cut(name, " ")
		kinds[kind]++
	}
	return fmt.Sprint(kinds)
}

// against compares with the calm run.
func (f facts) against(calm facts) (d damage) {
	for _, name := range slices.Sorted(maps.Keys(calm)) {
		got, there := f[name]
		switch {
		case !there:
			d.lost = append(d.lost, name)
		case got != calm[name]:
			d.changed = append(d.changed, fmt.Sprintf("%s: %s, and not %s", name, got, calm[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if _, there := calm[name]; !there {
			d.doubled = append(d.doubled, name+" "+f[name])
		}
	}
	return d
}

// facts reads all that is known of an Event. What is there twice, or named and not stored, is told at once.
func (w *world) facts(event *running) (f facts, own damage, err error) {
	uid, replay := string(event.UID), string(event.replay.UID)
	f = facts{}
	add := func(value, format string, args ...any) {
		name := fmt.Sprintf(format, args...)
		if _, there := f[name]; there {
			own.doubled = append(own.doubled, name)
		}
		f[name] = value
	}
	stored := map[string]int64{}
	for o, err := range w.bucket.List(w.ctx, namespace+"/"+uid+"/") {
		if err != nil {
			return nil, own, err
		}
		stored[o.Key] = o.Bytes
	}
	object := func(what string, location *string, bytes int64) {
		key := ""
		if location != nil {
			key, _ = w.bucket.Key(*location)
		}
		got, there := stored[key]
		switch {
		case !there:
			own.lost = append(own.lost, "object of "+what)
		case bytes >= 0 && got != bytes:
			own.changed = append(own.changed, fmt.Sprintf("object of %s: %d bytes, and not %d", what, got, bytes))
		}
		delete(stored, key)
	}

	e, err := w.plane.Event(w.ctx, uid)
	if err != nil {
		return nil, own, err
	}
	add(fmt.Sprintf("%s, %d dead letters, %+v", e.State, e.DeadLetters, e.Progress), "event")
	object("export", e.ExportLocation, -1)
	for i := range e.EdlLocations {
		object("EDL", &e.EdlLocations[i], -1)
	}
	units, err := w.plane.Units(w.ctx, uid)
	if err != nil {
		return nil, own, err
	}
	for _, u := range units {
		add(fmt.Sprintf("frame %d, %d frames, %s", u.FirstFrame, u.Frames, u.PayloadSHA256),
			"unit %d/%d", u.Epoch, u.FirstTicks)
		location := w.bucket.Location(u.Key)
		object(fmt.Sprintf("unit %d", u.FirstTicks), &location, u.Bytes)
	}
	chunks, err := w.plane.Chunks(w.ctx, uid)
	if err != nil {
		return nil, own, err
	}
	for _, c := range chunks {
		add(fmt.Sprintf("%s late %t, %+v, %d units, processed %t", c.State, c.Late, c.Extent, c.Units, c.Processed),
			"chunk %d", c.Extent.Number)
	}
	reels, err := w.plane.Replay(w.ctx, replay)
	if err != nil {
		return nil, own, err
	}
	for _, d := range reels.Decisions {
		add(fmt.Sprintf("taken %t %s", d.Taken, d.Reason), "decision about %s", d.SegmentID)
	}
	for _, r := range reels.Outputs {
		if r.State != api.ReelStateStateRendered || r.Proof == nil {
			own.lost = append(own.lost, fmt.Sprintf("reel %s: %s", r.Resolution, r.State))
			continue
		}
		add(fmt.Sprintf("%d frames %dx%d", r.Proof.Frames, r.Proof.Width, r.Proof.Height), "reel %s", r.Resolution)
		object("reel "+r.Resolution, r.Location, r.Proof.Bytes)
		object("thumbnail of reel "+r.Resolution, r.Thumbnail, -1)
	}
	tasks, err := w.plane.Tasks(w.ctx, uid)
	if err != nil {
		return nil, own, err
	}
	for _, t := range tasks {
		subject := t.Subject
		if t.Kind == api.TaskKindReel {
			subject = strings.NewReplacer(replay, "replay", *reels.PlanHash, "plan").Replace(subject)
		}
		add(string(t.State), "task %s chunk %d %s track %d %s", t.Kind, t.Chunk, t.Plugin, t.Track, subject)
	}
	results, err := w.plane.Results(w.ctx, uid, "")
	if err != nil {
		return nil, own, err
	}
	for _, r := range results {
		attributes, err := json.Marshal(r.Result.Attributes)
		if err != nil {
			return nil, own, err
		}
		add("", "result of %s chunk %d track %d from %d to %d %s", r.Plugin, r.Chunk, r.Track,
			r.Result.Start.Frame, r.Result.End.Frame, attributes)
	}
	segments, err := w.plane.Segments(w.ctx, uid)
	if err != nil {
		return nil, own, err
	}
	end := int64(0)
	for _, s := range segments {
		if s.Out == nil {
			own.lost = append(own.lost, "mark-out of segment "+s.ID)
			continue
		}
		text := fmt.Sprintf("%s %d to %d %q %s", s.State, s.In.Frame, s.Out.Frame, s.Label, s.LabelCode)
		for _, o := range s.Optimized {
			text += fmt.Sprintf(", track %d %d to %d %s %s", o.Track, o.In.Frame, o.Out.Frame, o.StartCode, o.EndCode)
		}
		add(text, "segment %s", s.ID)
		if s.In.Frame < end {
			own.doubled = append(own.doubled,
				fmt.Sprintf("frames %d to %d, in segment %s and the one before", s.In.Frame, end, s.ID))
		}
		end = s.Out.Frame
	}
	clips, err := w.plane.Clips(w.ctx, uid)
	if err != nil {
		return nil, own, err
	}
	for _, c := range clips {
		name := fmt.Sprintf("clip of %s %s track %d", c.SegmentID, c.Variant, c.Track)
		if c.State != api.ClipStateRendered || c.Proof == nil {
			own.lost = append(own.lost, fmt.Sprintf("%s: %s", name, c.State))
			continue
		}
		add(fmt.Sprintf("%d to %d, %d frames %dx%d %s", c.In.Frame, c.Out.Frame, c.Proof.Frames, c.Proof.Width,
			c.Proof.Height, c.Proof.Method), "%s", name)
		if c.Proof.Frames != c.Out.Frame-c.In.Frame {
			own.changed = append(own.changed, fmt.Sprintf("%s has %d frames from %d to %d",
				name, c.Proof.Frames, c.In.Frame, c.Out.Frame))
		}
		object(name, c.Location, c.Proof.Bytes)
		object("thumbnail of "+name, c.Thumbnail, -1)
	}
	// What killed attempts left is for the sweeper, which waits longer than this test; but nobody but the test stores
	// units.
	for key := range stored {
		if strings.Contains(key, "/units/") {
			own.doubled = append(own.doubled, "object "+key)
		}
	}
	return f, own, nil
}
