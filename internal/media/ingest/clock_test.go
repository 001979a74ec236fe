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
	rates := map[string]timeline.Rational{"30.001": {Num: 30001, Den: 1000}, "29.9706": {Num: 299706, Den: 10000}, "60.0018": {Num: 600018, Den: 10000}}
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

func (d daySource) check(t *testing.T, nominal string) {
	rng := rand.New(rand.NewPCG(1, 2))
	period := 90000 * float64(d.rate.Den) / float64(d.rate.Num)
	at := 900000.0
	index := int64(-1)
	// next returns a stamp and the number that its frame must have.
	next := func() (int64, int64) {
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
	first := []int64{}
	for range 10 * d.rate.Num / d.rate.Den {
		s, _ := next()
		first = append(first, s)
	}
	rate, constant := probe.RateOf(first, timeline.Rational{})
	if rate.String() != nominal || !constant {
		t.Fatalf("the rate is taken for %s, constant %v", rate, constant)
	}
	at, index = 900000, -1
	rng = rand.New(rand.NewPCG(1, 2))
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
