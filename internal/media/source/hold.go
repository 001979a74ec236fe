// SPDX-License-Identifier: Apache-2.0

package source

import "slices"

// hold is the state while the clock decides.
type hold struct {
	units []unit
	bytes int
	// old is where the first stream jumped from, last the newest stamp beyond.
	old  place
	last int64
}

// jump takes a stream's first unit beyond a jump.
func (c *clock) jump(t *track, u *unit, ref int64) {
	c.unwrap(u, ref)
	u.ahead = true
	t.jumped = true
	t.beyond = beyond{first: u.dts, last: u.dts, min: u.pts, explicit: u.hasDTS, stamps: []int64{u.pts}, before: u.before}
	c.hold.last = u.dts
	c.touch(t)
}

func (c *clock) placeHeld(u *unit) {
	t := u.track
	back := t.seen && c.continues(t.last, u.dts)
	switch {
	case t.jumped && c.continues(t.beyond.last, u.dts) && (!back || !c.nearer(u.dts, t.last, t.beyond.last)):
		b := &t.beyond
		c.unwrap(u, b.last)
		u.ahead = true
		t.run += u.dts - b.last
		b.last, b.min, b.explicit = u.dts, min(b.min, u.pts), b.explicit || u.hasDTS
		b.stamps = append(b.stamps, u.pts)
		c.hold.last = u.dts
		c.touch(t)
	case t.jumped && back:
		// It is back: what was in between was damage.
		c.release(t)
		c.place(u)
	case t.jumped:
		// A third place. Few units in the second are damage, more are a part.
		if len(t.beyond.stamps) < jumpUnits {
			c.release(t)
		} else {
			c.decide(true)
		}
		c.place(u)
	case back:
		c.advance(t, u)
	case !c.apart(u.dts, c.hold.last, jumpSeconds):
		c.jump(t, u, c.hold.last)
	default:
		c.unwrap(u, c.hold.old.at)
		u.lost, u.shift = true, t.shift
	}
}

// decide ends the hold when it is known what the jump is, or when no more can
// be waited for.
func (c *clock) decide(now bool) {
	h := c.hold
	if h == nil {
		return
	}
	waiting, goesOn, tail := false, false, false
	for _, t := range c.tracks {
		if !t.media() || !t.seen || t.jumped || c.quiet(t) {
			continue
		}
		waiting = true
		tail = tail || t.run > t.heldAt
		goesOn = goesOn || t.run-t.heldAt > patienceSeconds*c.rate
	}
	now = now || h.bytes > heldBytes
	switch {
	case goesOn || now && tail:
		c.release(nil)
	case now || !waiting && c.settled():
		c.close()
	}
}

// settled says whether enough of the new part is known: more than a damaged
// stamp, and which picture is shown first.
func (c *clock) settled() bool {
	enough := false
	for _, t := range c.tracks {
		if !t.jumped {
			continue
		}
		b := &t.beyond
		enough = enough || len(b.stamps) >= jumpUnits
		if t.kind != picture {
			continue
		}
		// No picture is shown before it is decoded. Without decoding times
		// only the number of pictures tells.
		if b.explicit && b.last < b.min ||
			!b.explicit && len(b.stamps) < reorderUnits && b.last-b.first < c.rate {
			return false
		}
	}
	return enough
}

// release lets the held units go where nothing is to be closed. The stamps of
// damaged, if there is such a stream, were wrong beyond the jump.
func (c *clock) release(damaged *track) {
	h := c.hold
	for _, t := range c.tracks {
		if !t.jumped || t == damaged {
			continue
		}
		// Where it went on beside another stream it goes on with that.
		for _, o := range c.tracks {
			if o != t && o.seen && o.media() && !o.jumped && !c.apart(t.beyond.last, o.last, jumpSeconds) {
				t.shift = o.shift
			}
		}
		t.seen, t.last, t.past = true, t.beyond.last, nil
		for _, pts := range t.beyond.stamps {
			t.remember(pts + t.shift)
		}
	}
	for i := range h.units {
		u := &h.units[i]
		if !u.ahead {
			continue
		}
		u.shift = u.track.shift
		u.lost = u.track == damaged
	}
	c.flush()
}

// close makes the held jump a join: the new part follows the old one.
func (c *clock) close() {
	h := c.hold
	shift, from, ok := c.closing()
	if !ok { // nothing came before: there is nothing to follow
		c.release(nil)
		return
	}
	start := from
	for _, t := range c.tracks {
		if !t.jumped {
			continue
		}
		if t.kind == sound && len(t.recent) > 0 {
			end := c.endOf(t)
			t.until = &end
		}
		t.seen, t.last, t.past = true, t.beyond.last, nil
		t.shift, t.recover = shift, recentStamps
		t.recent = nil
		for _, pts := range t.beyond.stamps {
			t.remember(pts + shift)
		}
	}
	c.leaving = &h.old
	first := true // of the part
	restarted := map[*track]bool{}
	for i := range h.units {
		u := &h.units[i]
		if !u.ahead {
			continue
		}
		u.shift, u.join = shift, first
		u.restart = u.restart || !restarted[u.track]
		first, restarted[u.track] = false, true
	}
	ticks := func(v int64) int64 { return v * (tickRate / c.rate) }
	if c.joined != nil {
		c.joined(Join{Ticks: ticks(start + shift), Jump: ticks(h.old.shift - shift)})
	}
	c.flush()
	c.leaving = nil
}

// closing reckons what is added to the new part, and its first time.
func (c *clock) closing() (shift, from int64, ok bool) {
	// The first picture follows the last one by a period. Without pictures,
	// no sound overlaps.
	var lead *track
	for _, t := range c.tracks {
		if t.jumped && len(t.recent) > 0 && (lead == nil || t.kind == picture && lead.kind != picture) {
			lead = t
		}
	}
	if lead == nil {
		return 0, 0, false
	}
	from = lead.beyond.min
	shift = c.endOf(lead) - from
	for _, t := range c.tracks {
		if !t.jumped || len(t.recent) == 0 || t == lead {
			continue
		}
		// Parts rarely end with picture and sound at once: the overlap of some
		// sound is better than a hole in the picture.
		over := c.diff(c.endOf(t), t.beyond.min+shift)
		if lead.kind != picture && over > 0 || over > c.rate/2 {
			shift += over
		}
	}
	return shift, from, true
}

// endOf is the end of a stream's last unit before a jump, in presentation order.
func (c *clock) endOf(t *track) int64 {
	if t.kind == sound && t.beyond.before > 0 {
		return t.recent[len(t.recent)-1] + t.beyond.before
	}
	return slices.Max(t.recent) + c.period(t)
}

// period is the usual step between a stream's stamps.
func (c *clock) period(t *track) int64 { return usualStep(t.recent, c.rate/25) }

// usualStep is the median of the steps between stamps, so that neither holes
// nor the order of coding count.
func usualStep(stamps []int64, otherwise int64) int64 {
	s := slices.Sorted(slices.Values(stamps))
	var steps []int64
	for i := 1; i < len(s); i++ {
		if s[i] > s[i-1] {
			steps = append(steps, s[i]-s[i-1])
		}
	}
	if len(steps) == 0 {
		return otherwise
	}
	slices.Sort(steps)
	return steps[len(steps)/2]
}

func (c *clock) flush() {
	h := c.hold
	c.hold = nil
	for _, t := range c.tracks {
		t.jumped = false
	}
	for i := range h.units {
		c.emit(&h.units[i])
	}
}
