// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/objects"
)

// material is what a real ingest made of the match.
type material struct {
	timeline api.Timeline
	units    []api.Unit
	chunks   []api.Chunk
	media    map[int64][]byte // by first ticks
}

func (w *world) material(uid string) (*material, error) {
	e, err := w.plane.Event(w.ctx, uid)
	if err != nil {
		return nil, err
	}
	m := &material{timeline: *e.Timeline, media: map[int64][]byte{}}
	if m.units, err = w.plane.Units(w.ctx, uid); err != nil {
		return nil, err
	}
	if m.chunks, err = w.plane.Chunks(w.ctx, uid); err != nil {
		return nil, err
	}
	for _, u := range m.units {
		body, err := w.bucket.Get(w.ctx, u.Key)
		if err != nil {
			return nil, err
		}
		m.media[u.FirstTicks], err = io.ReadAll(body)
		body.Close()
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// chunkOf is the number of the chunk that a unit belongs to.
func (m *material) chunkOf(u api.Unit) int64 {
	for _, c := range m.chunks {
		if u.FirstFrame < c.Extent.FirstFrame+c.Extent.Frames {
			return c.Extent.Number
		}
	}
	return 0
}

// delivery is how the units of an Event come: in any order, or in order with one chunk that is given up and then comes
// after all. What came of a late chunk depends on what had been done before, so it comes when nothing is left to do.
type delivery struct{ late int64 }

func (d delivery) String() string {
	if d.late == 0 {
		return "in any order"
	}
	return fmt.Sprintf("chunk %d late", d.late)
}

// profile has the gap time-out that the delivery needs.
func (d delivery) profile() string {
	if d.late == 0 {
		return "patient"
	}
	return "hasty"
}

// courier delivers to one Event.
type courier struct {
	*material
	// agent delivers, and plane looks on.
	agent, plane   *dpclient.Client
	bucket         *objects.Bucket
	namespace, uid string
	// random is nil for a calm delivery: in order, once, without a pause.
	random *rand.Rand
}

func (c courier) deliver(ctx context.Context, d delivery) error {
	timeline := c.timeline
	timeline.Frames, timeline.Ended = nil, nil
	if err := c.agent.PutTimeline(ctx, c.uid, timeline); err != nil {
		return err
	}
	var now, late []api.Unit
	for _, u := range c.units {
		if d.late > 0 && c.chunkOf(u) == d.late {
			late = append(late, u)
		} else {
			now = append(now, u)
		}
	}
	if d.late == 0 {
		now = c.shuffled(now)
	}
	if err := c.send(ctx, c.someTwice(now)); err != nil {
		return err
	}
	if d.late > 0 {
		if err := c.givenUp(ctx, d.late); err != nil {
			return err
		}
		if err := c.send(ctx, c.someTwice(c.shuffled(late))); err != nil {
			return err
		}
		if err := c.quiet(ctx); err != nil {
			return err
		}
	}
	return c.agent.EndSource(ctx, c.uid, api.SourceEnd{Frames: *c.timeline.Frames})
}

func (c courier) shuffled(units []api.Unit) []api.Unit {
	if c.random != nil {
		c.random.Shuffle(len(units), func(i, j int) { units[i], units[j] = units[j], units[i] })
	}
	return units
}

// someTwice repeats a third of the units, at any time after their first.
func (c courier) someTwice(units []api.Unit) []api.Unit {
	if c.random == nil {
		return units
	}
	for range len(units)/3 + 1 {
		i := c.random.IntN(len(units))
		at := i + 1 + c.random.IntN(len(units)-i)
		units = slices.Insert(units, at, units[i])
	}
	return units
}

func (c courier) send(ctx context.Context, units []api.Unit) error {
	for _, u := range units {
		if c.random != nil {
			if err := sleep(ctx, time.Duration(c.random.Int64N(int64(1500*time.Millisecond)))); err != nil {
				return err
			}
		}
		u.Key = keys.Unit(c.namespace, c.uid, u.Epoch, u.FirstTicks)
		if err := c.bucket.Put(ctx, u.Key, "video/mp2t", c.media[u.FirstTicks]); err != nil {
			return err
		}
		if err := c.agent.RegisterUnit(ctx, c.uid, u); err != nil {
			return err
		}
	}
	return nil
}

// givenUp waits until a chunk is missing, and then until all that can be done without it is.
func (c courier) givenUp(ctx context.Context, number int64) error {
	for {
		detail, err := c.plane.ExplainChunk(ctx, c.uid, number)
		if err == nil && detail.Chunk.State == api.ChunkStateMissing {
			return c.quiet(ctx)
		}
		if err := sleep(ctx, 300*time.Millisecond); err != nil {
			return fmt.Errorf("wait for chunk %d to be given up: %w", number, err)
		}
	}
}

// quiet waits until nothing can be done before more is delivered. All that a finished task wakes, it wakes in its own
// transaction, so this is no guess.
func (c courier) quiet(ctx context.Context) error {
	for {
		e, err := c.plane.Event(ctx, c.uid)
		if err == nil && e.Backlog.Work.Ready+e.Backlog.Work.Leased == 0 {
			return nil
		}
		if err := sleep(ctx, 300*time.Millisecond); err != nil {
			return fmt.Errorf("wait for the tasks of Event %s: %w", c.uid, err)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
