// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// fuzzKinds are the kinds of tasks whose output comes from plugins.
var fuzzKinds = []api.TaskKind{api.TaskKindFeaturer, api.TaskKindSegmenter,
	api.TaskKindOptimizer, api.TaskKindLabeler, api.TaskKindFinal}

// FuzzResults completes a task with whatever a plugin may send. It is refused,
// with a message, or published; and what is published can be lived with.
func FuzzResults(f *testing.F) {
	for kind, bodies := range map[api.TaskKind][]string{
		api.TaskKindFeaturer: {
			`{"results":[{"startMicros":1000000,"endMicros":2000000,"attributes":{"Label":"x","deep":{"a":[1,null,true]}}}]}`,
			`{"results":[{"startMicros":-1,"endMicros":0,"attributes":null},{"startMicros":9223372036854775807,` +
				`"endMicros":-9223372036854775808}]}`,
			`{"variables":{"a":"b","n":1e3,"t":true,"":null},"segmentAttributes":[{"segmentID":"000001-0",` +
				`"attributes":{"x":1}}]}`,
		},
		api.TaskKindSegmenter: {
			`{"segments":[{"startMicros":1000000,"endMicros":2000000,"attributes":{}},{"startMicros":3000000,"attributes":{}}]}`,
			`{"segments":[{"id":"000001-0","startMicros":3000000,"endMicros":7000000,"closeReason":"Detected",` +
				`"attributes":{}}]}`,
			`{"segments":[{"startMicros":0,"endMicros":600000000},{"startMicros":2,"endMicros":1}],` +
				`"segmentAttributes":[{"segmentID":"000001-1","attributes":{}}]}`,
		},
		api.TaskKindFinal: {`{"segments":[{"id":"000002-0","startMicros":9000000,` +
			`"endMicros":17000000,"attributes":{}}]}`, `{}`},
		api.TaskKindOptimizer: {
			`{"optimized":[{"segmentID":"000001-0","startMicros":500000,"endMicros":3500000,"startCode":"ok","endCode":"ok"}]}`,
			`{"optimized":[{"segmentID":"000001-0","startMicros":2000000,"endMicros":2000000},{"segmentID":"000001-0"}]}`,
		},
		api.TaskKindLabeler: {`{"labels":[{"segmentID":"000001-0","code":"OK","label":"a\u0000\ud800",` +
			`"attributes":{"Named":true}}]}`},
	} {
		bodies = append(bodies, "\x01\x03\x14\x01\x03\x1e\x01",
			"\x00\x02\x03\x14\x01\x00\x01\x03\x28\x01\x03\x40\x01\x00\x01\x03\x50\x01")
		for _, body := range bodies {
			for i, k := range fuzzKinds {
				if k == kind {
					f.Add(uint8(i), []byte(body))
				}
			}
		}
	}
	stage := &fuzzStage{store: newHarness(f), waiting: map[api.TaskKind]*api.Lease{}, uids: map[api.TaskKind]string{}}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		var out api.TaskOutput
		if json.Unmarshal(body, &out) != nil {
			d := dice(body)
			out = d.output()
		}
		stage.play(t, fuzzKinds[int(kind)%len(fuzzKinds)], out)
	})
}

// fuzzStage keeps a task of each kind at hand: what is refused leaves no trace,
// so the task serves until something is published.
type fuzzStage struct {
	store   *harness
	events  int
	waiting map[api.TaskKind]*api.Lease
	uids    map[api.TaskKind]string
}

func (s *fuzzStage) play(t *testing.T, kind api.TaskKind, out api.TaskOutput) {
	h := *s.store
	h.t = t
	if s.waiting[kind] == nil {
		s.events++
		s.uids[kind] = fmt.Sprintf("fuzz-%d", s.events)
		h.uid = s.uids[kind]
		h.start(contained("", "scene", "segment", "snap", "name"))
		h.ingest(fuzzUnits)
		s.waiting[kind] = h.playUntil(kind)
	}
	h.uid = s.uids[kind]
	l := s.waiting[kind]
	out.Token, out.Next = l.Token, nil
	err := h.completeTask(l.TaskID, out)
	if errors.Is(err, ErrInvalid) && utf8.ValidString(err.Error()) && len(err.Error()) <= maxMessage {
		return
	}
	if err != nil {
		t.Fatalf("%s: %v", kind, err)
	}
	delete(s.waiting, kind)
	h.playUntil("")
	h.checkPublished()
}

// playUntil works until a task of a kind is leased, or until none is left.
func (h *harness) playUntil(kind api.TaskKind) *api.Lease {
	h.t.Helper()
	m := match{moments: []int64{1, 8}}
	for l := h.lease(api.PoolWork); l != nil; l = h.lease(api.PoolWork) {
		if l.Kind == kind {
			return l
		}
		err := h.complete(l, m)
		if errors.Is(err, ErrInvalid) { // the plugins' script does not know what was reported before it
			err = h.fail(l, err.Error())
		}
		h.must(err)
	}
	if kind != "" {
		h.t.Fatalf("no %s came", kind)
	}
	return nil
}

// dice turns bytes into an output that gets further than most texts would.
type dice []byte

// n is a number below most.
func (d *dice) n(most int) int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % most
}

func (d *dice) micros() int64 {
	switch d.n(8) {
	case 0:
		return []int64{math.MinInt64, math.MaxInt64, -1, 0, 1, -api.MaxAstrayMicros,
			fuzzUnits * 2 * second, api.MaxAstrayMicros}[d.n(8)]
	case 1:
		return -int64(d.n(256)) * 10_000_000
	case 2:
		return int64(d.n(256))*10_000_000 + int64(d.n(256))
	}
	return int64(d.n(256))*50_000 + int64(d.n(3)) - 1
}

func (d *dice) text() string {
	return []string{"", "a", "Hit", "\x00", "\xff", strings.Repeat("x", 300),
		"000001-0", "000002-0", "000001-1", "-", "é"}[d.n(11)]
}

func (d *dice) value() any {
	switch d.n(8) {
	case 0:
		return nil
	case 1:
		return d.n(2) == 0
	case 2:
		return math.Pow(-10, float64(d.n(256)))
	case 3:
		return nested(d.n(64))
	case 4:
		return strings.Repeat("y", d.n(256)*2048)
	}
	return d.text()
}

func (d *dice) attributes() map[string]any {
	out := map[string]any{}
	for range d.n(4) {
		out[d.text()] = d.value()
	}
	return out
}

func (d *dice) output() (out api.TaskOutput) {
	for range d.n(5) {
		out.Results = append(out.Results, api.NewResult{StartMicros: d.micros(),
			EndMicros: d.micros(), Attributes: d.attributes()})
	}
	for range d.n(5) {
		u := api.SegmentUpdate{StartMicros: d.micros(), Attributes: d.attributes()}
		if d.n(3) > 0 {
			u.EndMicros = new(d.micros())
		}
		if d.n(4) == 0 {
			u.ID = new(d.text())
		}
		out.Segments = append(out.Segments, u)
	}
	for range d.n(3) {
		out.Optimized = append(out.Optimized, api.OptimizedMarks{SegmentID: d.text(), StartMicros: d.micros(),
			EndMicros: d.micros(), StartCode: d.text(), EndCode: d.text()})
	}
	for range d.n(3) {
		out.Labels = append(out.Labels, api.SegmentLabel{SegmentID: d.text(), Label: d.text(),
			Code: d.text(), Attributes: d.attributes()})
	}
	for range d.n(3) {
		out.SegmentAttributes = append(out.SegmentAttributes,
			api.SegmentAttributes{SegmentID: d.text(), Attributes: d.attributes()})
	}
	if d.n(3) == 0 {
		out.Variables = d.attributes()
	}
	return out
}

// fuzzUnits is how long the Events are, in units of 2 s: two chunks.
const fuzzUnits = 6

// checkPublished says what holds of an Event, whatever its plugins do.
func (h *harness) checkPublished() {
	h.t.Helper()
	const end = fuzzUnits * unitFrames
	results, _, err := h.s.Results(h.ctx, h.uid, ResultFilter{}, 1000, "")
	h.must(err)
	for _, r := range results {
		if s, e := r.Result.Start.Frame, r.Result.End.Frame; s < 0 || s >= end || e < s || e > end {
			h.t.Errorf("a result of %s from frame %d to %d of %d", r.Plugin, s, e, end)
		}
	}
	last := map[int32]int64{}
	at, open := int64(0), 0
	for _, s := range h.segments() {
		if s.State == api.SegmentStateOpen {
			open++
			continue
		}
		if s.In.Frame < at || s.Out.Frame <= s.In.Frame || s.Out.Micros-s.In.Micros > 60*second+40_000 {
			h.t.Errorf("segment %s from frame %d to %d, after %d", s.ID, s.In.Frame, s.Out.Frame, at)
		}
		at = s.Out.Frame
		for _, o := range s.Optimized {
			if o.In == s.In && o.Out == *s.Out {
				continue // only a code that says why it stays where it is
			}
			if o.In.Frame < last[o.Track] || o.Out.Frame <= o.In.Frame {
				h.t.Errorf("segment %s is optimized from frame %d to %d, after %d", s.ID, o.In.Frame, o.Out.Frame, last[o.Track])
			}
			last[o.Track] = o.Out.Frame
		}
	}
	if open > 0 {
		h.t.Errorf("%d segments are open after the final pass", open)
	}
	if e := h.event(); e.Backlog.Work != (api.PoolBacklog{}) {
		h.t.Errorf("%s with work left: %+v", e.State, e.Backlog.Work)
	}
	variables, err := h.s.Variables(h.ctx, h.uid)
	h.must(err)
	if _, err := json.Marshal(variables); err != nil || len(variables) > maxVariables {
		h.t.Errorf("%d variables: %v", len(variables), err)
	}
	if _, err := h.s.ExportData(h.ctx, h.uid); err != nil {
		h.t.Errorf("export: %v", err)
	}
}
