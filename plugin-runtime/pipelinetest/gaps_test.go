// SPDX-License-Identifier: Apache-2.0

package pipelinetest

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// Media that never comes costs what it shows and nothing else: the Event goes
// on behind it, and clips across a hole keep their length.
func TestMediaThatNeverComes(t *testing.T) {
	m, err := match.Generate(t.Context(), match.Options{Seconds: 60, Seed: 11})
	if err != nil {
		t.Fatal(err)
	}
	p := start(t)
	source := serve(t, filepath.Dir(m.Path)) + "/" + filepath.Base(m.Path)
	if _, err := p.manager.PutPlan(t.Context(), "whole", plan(t, "whole", source, 12)); err != nil {
		t.Fatal(err)
	}
	if err := p.ingest(t.Context(), "whole"); err != nil {
		t.Fatal(err)
	}
	whole, err := p.manager.Event(t.Context(), "whole")
	if err != nil {
		t.Fatal(err)
	}
	units, err := p.manager.Units(t.Context(), "whole")
	if err != nil || len(units) != 10 {
		t.Fatalf("%d units, %v", len(units), err)
	}

	const uid = "holed"
	holed := plan(t, uid, source, 12)
	holed.GapTimeoutSeconds = 1
	if _, err := p.manager.PutPlan(t.Context(), uid, holed); err != nil {
		t.Fatal(err)
	}
	// Of five chunks of two units each, the second half of the second and the whole fourth are lost.
	lost := map[int]bool{3: true, 6: true, 7: true}
	agent := p.agent(uid)
	e := p.run(uid, func(ctx context.Context) error {
		tl := *whole.Timeline
		tl.Frames, tl.Ended = nil, nil
		if err := agent.PutTimeline(ctx, uid, tl); err != nil {
			return err
		}
		for i, u := range units {
			if lost[i] {
				continue
			}
			if err := p.copyUnit(ctx, uid, &u); err != nil {
				return err
			}
			if err := agent.RegisterUnit(ctx, uid, u); err != nil {
				return err
			}
		}
		return agent.EndSource(ctx, uid, api.SourceEnd{Frames: *whole.Timeline.Frames})
	})
	if e.State != api.EventStateStateComplete || e.DeadLetters != 0 || e.Progress.ChunksMissing != 1 ||
		*e.Timeline.Frames != m.Truth.Frames {
		t.Errorf("%s, %d dead letters, %d frames, %+v", e.State, e.DeadLetters, *e.Timeline.Frames, e.Progress)
	}
	chunks, err := p.manager.Chunks(t.Context(), uid)
	if err != nil {
		t.Fatal(err)
	}
	states := ""
	for _, c := range chunks {
		states += fmt.Sprintf("%s %d-%d\n", c.State, c.Extent.FirstFrame, c.Extent.FirstFrame+c.Extent.Frames)
	}
	if want := "closed 0-300\nclosed 300-450\nclosed 450-900\nmissing 900-1200\nclosed 1200-1500\n"; states != want {
		t.Errorf("chunks\n%swant\n%s", states, want)
	}
	found := p.found(uid) // which wants every clip to have the length of its marks
	if len(found.Segments) == 0 {
		t.Error("nothing was found around the holes")
	}
	for _, s := range found.Segments {
		t.Log(s)
	}
}

// copyUnit stores another Event's unit under this one's key.
func (p *plane) copyUnit(ctx context.Context, uid string, u *api.Unit) error {
	body, err := p.bucket.Get(ctx, u.Key)
	if err != nil {
		return err
	}
	defer body.Close()
	var data strings.Builder
	if _, err := io.Copy(&data, body); err != nil {
		return err
	}
	u.Key = keys.Unit("football", uid, u.Epoch, u.FirstTicks)
	return p.bucket.Put(ctx, u.Key, "video/mp2t", []byte(data.String()))
}
