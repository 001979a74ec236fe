// SPDX-License-Identifier: Apache-2.0

package source

import "slices"

// kind says what a stream is to the clock.
type kind int

const (
	// other streams (subtitles, cues, data) come when they come. They follow
	// the clock and have no say in it.
	other kind = iota
	picture
	sound
)

// unit is one packet or tag on its way from the source to FFmpeg.
type unit struct {
	data []byte
	// track is the stream that the stamps belong to.
	track *track
	// es is where the packet goes to in a transport stream; nil in FLV.
	es *elementary
	// timed: pts and dts hold stamps. They are those of the source until the
	// clock writes the unit, and those of the closed clock then.
	timed    bool
	hasDTS   bool
	pts, dts int64
	hasPCR   bool
	pcr      int64
	// before is how long the stream's unit before this one lasts; 0 if that is
	// not known.
	before int64

	// shift is added to the stamps.
	shift int64
	// ahead: while the clock decides, the unit is beyond a jump.
	ahead bool
	// lost: the stamp was damaged, and is reckoned from the unit before.
	lost bool
	// restart: the first unit of its stream in a new part.
	restart bool
	// join: the first unit of a new part.
	join bool
}

// track is what the clock knows of a stream. Times are the source's, unwrapped.
type track struct {
	kind kind
	seen bool
	// last is the decoding time of the last unit, shift what is added to it.
	last, shift int64
	// past are the last decoding times of the part, the newest last.
	past []int64
	// run adds up the small steps of the stream: how much media it has given,
	// whatever its clock did. seenAt is the clock's progress at its last unit.
	run, seenAt int64
	// offset is how long the last picture waited from its decoding.
	offset int64
	// recent are the last presentation times, on the closed clock.
	recent []int64
	// out is the last decoding time that was written; recover counts the
	// units after a join whose decoding times may have to be raised.
	out     int64
	written bool
	recover int
	// until, behind a join, is where the sound of the old part ends.
	until *int64

	// jumped, beyond and heldAt hold while the clock decides about a jump.
	jumped bool
	beyond beyond
	heldAt int64
}

// beyond is what a track has shown on the other side of a jump.
type beyond struct {
	first, last, min int64
	explicit         bool
	stamps           []int64
	// before is how long the last unit before the jump lasts.
	before int64
}

func (t *track) media() bool { return t.kind != other }

// recentStamps is how many stamps a period is reckoned from, pastStamps in how
// many damage is looked for; reorderUnits is how many pictures may be coded
// before one that is shown earlier.
const (
	recentStamps = 32
	pastStamps   = 8
	reorderUnits = 16
)

func (t *track) remember(pts int64) {
	t.recent = append(t.recent, pts)
	if len(t.recent) > recentStamps {
		t.recent = slices.Delete(t.recent, 0, len(t.recent)-recentStamps)
	}
}

// Join is a place where the clock was closed: all streams jumped back, or in a
// transport stream or FLV ahead by more than 10 s.
type Join struct {
	// Ticks is where the new part starts: 90 kHz, on the closed clock, which
	// goes on from the first stamps of the source and does not wrap.
	Ticks int64
	// Jump is what was taken out of the clock; negative where it jumped back.
	Jump int64
}

// clock passes units on and closes joins.
//
// Nothing is held back until a stream jumps: ahead by more than 10 s, since
// less may be a hole, or back by more than 1 s, where media would lie upon
// media. From there on units are kept until it is known whether all streams
// jump, which makes it a join, or another goes on, and nothing moves: streams
// jump one after the other in the bytes, and what belongs before the join may
// come after the first that belongs behind it.
type clock struct {
	rate, wrap int64
	write      func(*unit)
	joined     func(Join)
	tracks     []*track
	progress   int64
	hold       *hold
	// leaving is the old part while the units around a join are written.
	leaving *place
	// out is the last decoding time written, pcr the last reference.
	out, pcr int64
	hasPCR   bool
}

// place is a time of the source and what is added to it there.
type place struct{ at, shift int64 }

// Bounds of a decision, in seconds but for the last.
const (
	jumpSeconds = 10
	backSeconds = 1
	// waitSeconds is how long a picture may wait from its decoding.
	waitSeconds = 5
	// A stream that has sent nothing while others sent this much is not
	// waited for.
	quietSeconds = 2
	// A stream that went on for so long after another jumped did not jump
	// with it: multiplexers send picture and sound at most a few seconds apart.
	patienceSeconds = 5
	heldBytes       = 32 << 20
	// jumpUnits tell a jump from a damaged stamp.
	jumpUnits = 3
)

func newClock(rate, wrap int64, write func(*unit), joined func(Join)) *clock {
	return &clock{rate: rate, wrap: wrap, write: write, joined: joined}
}

func (c *clock) track(k kind) *track {
	t := &track{kind: k}
	c.tracks = append(c.tracks, t)
	return t
}

// diff is the shortest way from b to a.
func (c *clock) diff(a, b int64) int64 {
	d := (a - b) & (c.wrap - 1)
	if d >= c.wrap/2 {
		d -= c.wrap
	}
	return d
}

func (c *clock) apart(a, b, seconds int64) bool {
	d := c.diff(a, b)
	return max(d, -d) > seconds*c.rate
}

// continues says whether a time goes on from another: a small step back is
// that of pictures whose decoding times are not told.
func (c *clock) continues(from, to int64) bool {
	d := c.diff(to, from)
	return d >= -backSeconds*c.rate && d <= jumpSeconds*c.rate
}

// nearer says whether a time is nearer to a than to b.
func (c *clock) nearer(at, a, b int64) bool {
	x, y := c.diff(at, a), c.diff(at, b)
	return max(x, -x) < max(y, -y)
}

// quiet says that a stream has sent nothing for a while.
func (c *clock) quiet(t *track) bool { return c.progress-t.seenAt > quietSeconds*c.rate }

// add takes the next unit. Its data may be used again by the caller.
func (c *clock) add(u unit) {
	if u.timed && u.track.media() {
		c.place(&u)
	}
	if c.hold == nil {
		c.emit(&u)
		return
	}
	u.data = slices.Clone(u.data)
	c.hold.units = append(c.hold.units, u)
	c.hold.bytes += len(u.data)
	c.decide(false)
}

// end writes what is held.
func (c *clock) end() { c.decide(true) }

// place finds out which side of a jump a unit is on, and begins to hold units
// at the first that jumps.
func (c *clock) place(u *unit) {
	c.mend(u)
	if c.hold != nil {
		c.placeHeld(u)
		return
	}
	t := u.track
	near := c.follows(t, u.dts)
	switch {
	case t.seen && c.continues(t.last, u.dts) &&
		(near == nil || near.shift == t.shift || !c.nearer(u.dts, near.last, t.last)):
		c.advance(t, u)
	case near != nil:
		// It was away while another stream went on, and is back beside it.
		if t.seen && t.shift != near.shift {
			u.restart, t.recover = true, recentStamps
		}
		t.shift = near.shift
		c.enter(t, u, near.last)
	case c.returns(t, u.dts):
		c.advance(t, u)
	case !t.seen && !c.started():
		c.enter(t, u, u.dts)
	default:
		c.hold = &hold{old: c.leftPlace(t)}
		for _, o := range c.tracks {
			o.jumped, o.beyond, o.heldAt = false, beyond{}, o.run
		}
		c.jump(t, u, c.hold.old.at)
	}
}

// mend sets a stamp right that does not go with the other one of its unit: no
// picture waits for seconds, or is shown before it is decoded. The one that
// goes on from the unit before is taken for the good one.
func (c *clock) mend(u *unit) {
	t := u.track
	offset := c.diff(u.pts, u.dts)
	if !u.hasDTS || offset >= -backSeconds*c.rate && offset <= waitSeconds*c.rate {
		t.offset = offset
		return
	}
	last := t.last
	if t.jumped {
		last = t.beyond.last
	}
	if t.seen && c.nearer(last, u.pts, u.dts) {
		u.dts = u.pts - t.offset
	} else {
		u.pts = u.dts + t.offset
	}
}

func (c *clock) started() bool {
	return slices.ContainsFunc(c.tracks, func(t *track) bool { return t.seen && t.media() })
}

// returns says that a time goes on from where a stream was before damaged
// stamps led it ahead, though not far enough to be held, and goes back there.
func (c *clock) returns(t *track, dts int64) bool {
	for i := len(t.past) - 1; i > 0; i-- {
		back, step := c.diff(dts, t.past[i-1]), c.diff(t.past[i], t.past[i-1])
		if step > backSeconds*c.rate && back > 0 && back <= backSeconds*c.rate {
			t.last, t.past = t.past[i-1], t.past[:i]
			return true
		}
	}
	return false
}

// leftPlace is where a stream jumps from: its own last unit, or another
// stream's if it had none.
func (c *clock) leftPlace(t *track) place {
	if !t.seen {
		for _, o := range c.tracks {
			if o.seen && o.media() {
				t = o
			}
		}
	}
	return place{at: t.last, shift: t.shift}
}

// follows finds a stream that went on beside the given time while t did not,
// or that is in another part.
func (c *clock) follows(t *track, dts int64) *track {
	for _, o := range c.tracks {
		if o == t || !o.seen || !o.media() || c.quiet(o) || c.apart(dts, o.last, jumpSeconds) {
			continue
		}
		if !t.seen || t.shift != o.shift || c.apart(t.last, o.last, quietSeconds) {
			return o
		}
	}
	return nil
}

// unwrap puts a unit's stamps on the number line of ref.
func (c *clock) unwrap(u *unit, ref int64) {
	offset := c.diff(u.pts, u.dts)
	u.dts = ref + c.diff(u.dts, ref)
	u.pts = u.dts + offset
}

// enter sets a stream to where the unit is.
func (c *clock) enter(t *track, u *unit, ref int64) {
	c.unwrap(u, ref)
	t.seen, t.last, t.past, t.run = true, u.dts, nil, c.progress
	c.accept(t, u)
}

// advance is a small step, in the part where the stream is.
func (c *clock) advance(t *track, u *unit) {
	c.unwrap(u, t.last)
	t.run += u.dts - t.last
	t.last = u.dts
	c.accept(t, u)
}

func (c *clock) accept(t *track, u *unit) {
	u.shift = t.shift
	t.remember(u.pts + t.shift)
	t.past = append(t.past, u.dts)
	if len(t.past) > pastStamps {
		t.past = slices.Delete(t.past, 0, 1)
	}
	c.touch(t)
}

func (c *clock) touch(t *track) {
	c.progress = max(c.progress, t.run)
	t.seenAt = c.progress
}

// emit puts a unit on the closed clock and writes it.
func (c *clock) emit(u *unit) {
	if u.hasPCR {
		u.pcr = c.reference(u.pcr)
	}
	if u.timed {
		c.stamp(u)
	}
	c.write(u)
}

func (c *clock) stamp(u *unit) {
	t := u.track
	if !t.media() {
		p, _ := c.nearest(u.dts)
		u.dts, u.pts = u.dts+p.shift, u.pts+p.shift
		return
	}
	offset := u.pts - u.dts
	u.dts += u.shift
	if u.lost && t.written {
		u.dts = t.out + c.period(t)
	}
	u.pts = u.dts + offset
	// A new part may decode further ahead of its pictures than the old one
	// did. Pictures keep their places; decoding times only have to grow.
	if t.recover > 0 {
		t.recover--
		if u.hasDTS && t.written && u.dts <= t.out {
			u.dts = min(t.out+1, u.pts)
		}
	}
	t.out, t.written = u.dts, true
	c.out = u.dts
}

// reference puts a clock reference on the closed clock. One that belongs to no
// stream's time is damaged, or comes before the first unit of a new part: the
// one before is said again.
func (c *clock) reference(pcr int64) int64 {
	p, ok := c.nearest(pcr)
	if ok && c.apart(pcr, p.at, jumpSeconds) && c.hasPCR {
		return c.pcr
	}
	c.pcr, c.hasPCR = pcr+p.shift, true
	return c.pcr
}

// nearest finds the part that a time belongs to.
func (c *clock) nearest(at int64) (place, bool) {
	var best place
	found := false
	look := func(p place) {
		if d := c.diff(at, p.at); !found || max(d, -d) < max(c.diff(at, best.at), -c.diff(at, best.at)) {
			best, found = p, true
		}
	}
	for _, t := range c.tracks {
		if t.seen && t.media() {
			look(place{at: t.last, shift: t.shift})
		}
	}
	if c.leaving != nil {
		look(*c.leaving)
	}
	return best, found
}
