// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"math/rand/v2"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// source makes the stamps of a day of pictures.
type daySource struct {
	name string
	rate timeline.Rational
	// round is the container's clock in ticks, jitter what is added at random.
	round, jitter int64
	// wander is by how many parts in a million the rate comes and goes.
	wander float64
	// missing says that one frame in 500 does not come.
	missing bool
}

// TestDayOfStamps decides on a rate by ten seconds of stamps, and then follows
// a day of them: no frame number comes twice, none is left out but the missing
// ones, and every frame is within half a period of its stamp.
func TestDayOfStamps(t *testing.T) {
	rates := map[string]timeline.Rational{"30.001": {Num: 30001, Den: 1000},
		"29.9706": {Num: 299706, Den: 10000}, "60.0018": {Num: 600018, Den: 10000}}
	nominal := map[string]string{"30.001": "30", "29.9706": "30000/1001", "60.0018": "60"}
	for name, rate := range rates {
		for _, d := range []daySource{
			{name: "in ticks", round: 1},
			{name: "in milliseconds, with jitter", round: 90, jitter: 90},
			{name: "wandering by 50 ppm", round: 1, wander: 50},
			{name: "1 in 500 missing", round: 90, missing: true},
		} {
			d.rate = rate
			t.Run(name+" "+d.name, func(t *testing.T) {
				t.Parallel()
				d.check(t, nominal[name])
			})
		}
	}
}

// stamps returns a function that gives a stamp, and the number that its frame
// must have.
func (d daySource) stamps() func() (stamp, number int64) {
	rng := rand.New(rand.NewPCG(1, 2))
	period := 90000 * float64(d.rate.Den) / float64(d.rate.Num)
	at := 900000.0
	index := int64(-1)
	return func() (int64, int64) {
		for {
			index++
			if index > 0 {
				phase := float64(index%2_000_000)/1_000_000 - 1
				at += period * (1 + d.wander*phase/1e6)
			}
			if d.missing && index%500 == 499 {
				continue
			}
			stamp := timeline.MulDiv(int64(at+0.5), 1, d.round) * d.round
			if d.jitter > 0 {
				stamp += rng.Int64N(2*d.jitter+1) - d.jitter
			}
			return stamp, index
		}
	}
}

func (d daySource) check(t *testing.T, nominal string) {
	next := d.stamps()
	first := []int64{}
	for range 10 * d.rate.Num / d.rate.Den {
		s, _ := next()
		first = append(first, s)
	}
	rate, constant := probe.RateOf(first, timeline.Rational{})
	if rate.String() != nominal || !constant {
		t.Fatalf("the rate is taken for %s, constant %v", rate, constant)
	}
	next = d.stamps()
	stamp, want := next()
	c := newClock(Position{OriginTicks: stamp}, rate)
	half := (timeline.Timeline{Rate: rate}).FrameStartTicks(1)/2 + 1
	frame, shift := int64(0), int64(0)
	unit := 5 * rate.Num / rate.Den
	for want < 86400*d.rate.Num/d.rate.Den {
		stamps, wanted := []int64{stamp}, []int64{want}
		for int64(len(stamps)) <= unit {
			stamp, want = next()
			stamps, wanted = append(stamps, stamp), append(wanted, want)
		}
		numbers, end, odd := c.number(frame, shift, stamps)
		if odd >= 0 {
			t.Fatalf("frame %d is off the grid", wanted[odd])
		}
		tl := c.nominal()
		tl.Anchors = []timeline.Anchor{{Frame: frame, ShiftTicks: shift}, {Frame: numbers[unit], ShiftTicks: end}}
		for i, n := range numbers {
			if n != wanted[i] {
				t.Fatalf("frame %d is numbered %d", wanted[i], n)
			}
			if off := stamps[i] - tl.FrameStartTicks(n); off > half || off < -half {
				t.Fatalf("frame %d is %d ticks off its stamp", n, off)
			}
			if tl.FrameOfTicks(tl.FrameStartTicks(n)) != n || tl.FrameOfMicros(tl.FrameStartMicros(n)) != n {
				t.Fatalf("frame %d does not come back from its time", n)
			}
		}
		frame, shift = numbers[unit], end
	}
}

// TestDayOfPictures follows a day of stamps as a mezzanine does: each picture
// has its own frame, within half a period of its stamp.
func TestDayOfPictures(t *testing.T) {
	for _, d := range []daySource{
		{name: "25, exact", rate: timeline.Rational{Num: 25, Den: 1}, round: 1},
		{name: "30.001", rate: timeline.Rational{Num: 30001, Den: 1000}, round: 1},
		{name: "30.001 in milliseconds, with jitter", rate: timeline.Rational{Num: 30001, Den: 1000}, round: 90, jitter: 90},
		{name: "29.9706, 1 in 500 missing", rate: timeline.Rational{Num: 299706, Den: 10000}, round: 90, missing: true},
		{name: "60.0018 wandering by 50 ppm", rate: timeline.Rational{Num: 600018, Den: 10000}, round: 1, wander: 50},
		{name: "30.01, usual in phones", rate: timeline.Rational{Num: 90000, Den: 2999}, round: 1},
	} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			next := d.stamps()
			p := newPacer(Config{Decision: probe.Decision{Rate: probe.SnapRate(d.rate)}})
			for want := int64(0); want < 86400*d.rate.Num/d.rate.Den; {
				var stamp int64
				stamp, want = next()
				frame, _ := p.place(stamp)
				if frame != want {
					t.Fatalf("picture %d is on frame %d", want, frame)
				}
				if off := stamp - p.ticksOf(frame); off > p.period/2+1 || off < -p.period/2-1 {
					t.Fatalf("frame %d is %d ticks off its stamp", frame, off)
				}
			}
		})
	}
}

// TestTwiceTheRate gives two pictures for each frame, for an hour: the grid
// stays where it is.
func TestTwiceTheRate(t *testing.T) {
	for _, d := range []daySource{
		{rate: timeline.Rational{Num: 100, Den: 1}, round: 1},
		{rate: timeline.Rational{Num: 100, Den: 1}, round: 90, jitter: 45},
		{rate: timeline.Rational{Num: 120000, Den: 1001}, round: 1},
		{rate: timeline.Rational{Num: 120, Den: 1}, round: 90},
	} {
		next := d.stamps()
		p := newPacer(Config{Decision: probe.Decision{Rate: probe.MezzanineRate(d.rate)}})
		for k := int64(0); k < 3600*120; {
			var stamp int64
			stamp, k = next()
			frame, _ := p.place(stamp)
			if at := (timeline.Timeline{OriginTicks: p.origin(), Rate: p.rate}).FrameStartTicks(frame); p.ticksOf(frame)-
				at > deadTicks || at-p.ticksOf(frame) > deadTicks {
				t.Fatalf("at picture %d of %s a second the grid is %d ticks off", k, d.rate, p.ticksOf(frame)-at)
			}
			if off := stamp - p.ticksOf(frame); off > p.period/2+90 || off < -p.period/2-90 {
				t.Fatalf("picture %d is %d ticks off", k, off)
			}
		}
	}
}
