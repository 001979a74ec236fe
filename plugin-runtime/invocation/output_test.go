// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func nothingKnown() ([]api.Segment, error) { return nil, errors.New("the past was asked for") }

// outputCase is an answer and what becomes of it. saved is what the plugin wrote before.
type outputCase struct {
	plugin        string
	edit          func(*api.Lease)
	saved, answer string
	known         []api.Segment
	// overlap: the Profile lets segments overlap.
	overlap bool
	want    string
	notes   int
	fails   string
}

func open(id string, from int64) func(*api.Lease) {
	return func(l *api.Lease) { l.Input.Segmenter.Open = new(testSegment(id, from, 0)) }
}

// after is a lease whose last complete segment lies between two frames.
func after(from, to int64) func(*api.Lease) {
	return func(l *api.Lease) {
		l.Input.Segmenter.Previous = new(testSegment("000001-0", from, to))
		l.Input.Segmenter.PreviousEndMicros = to * 40_000
	}
}

func toOptimize(l *api.Lease) {
	l.Input.Optimizer.Segments = []api.Segment{testSegment("000001-0", 100, 200), testSegment("000001-1", 250, 375)}
}

func toLabel(l *api.Lease) {
	s := testSegment("000001-0", 100, 200)
	s.ReportedStartMicros = 4_011_000 // snapped to 4.000
	l.Input.Labeler.Segments = []api.Segment{s, testSegment("000001-1", 250, 375)}
}

func results(list string) string { return `{"Output":{"Status":"Complete","Results":` + list + `}}` }

var outputCases = map[string]outputCase{
	"featurer: points, ranges, undeclared attributes, columns": {
		plugin: "scenes",
		answer: results(`[{"Start":12.3,"Label":"near","frameId":7,"PK":"x","Program":"y"},{"Start":10.0004,"End":11},` +
			`{"Start":13,"End":13},{"Start":14,"End":12}]`),
		want: `{"results":[{"startMicros":10000000,"endMicros":11000000,"attributes":{}},
			{"startMicros":12300000,"endMicros":12300000,"attributes":{"Label":"near","frameId":7}},
			{"startMicros":13000000,"endMicros":13000000,"attributes":{}},
			{"startMicros":14000000,"endMicros":14000000,"attributes":{}}]}`,
		notes: 1,
	},
	"featurer: the last one at a start wins": {
		plugin: "scenes", answer: results(`[{"Start":12.3,"a":1},{"Start":12.3001,"b":2}]`),
		want: `{"results":[{"startMicros":12300000,"endMicros":12300000,"attributes":{"b":2}}]}`,
	},
	"featurer: what was saved counts": {
		plugin: "scenes", saved: `[{"Start":1}]`, answer: results(`[{"Start":1},{"Start":2}]`),
		want: `{"results":[{"startMicros":1000000,"endMicros":1000000,"attributes":{}}]}`,
	},
	"featurer: nothing found": {plugin: "scenes", answer: results(`[]`), want: `{}`},

	"segmenter: complete, then open": {
		plugin: "moments", answer: results(`[{"Start":17.9},{"Start":11,"End":13.2,"Label":"x","OptoStartCode":"mine"}]`),
		want: `{"segments":[{"startMicros":11000000,"endMicros":13200000,"attributes":{"Label":"x"}},` +
			`{"startMicros":17900000,"attributes":{}}]}`,
	},
	"segmenter: closes the open one by its start": {
		plugin: "moments", edit: open("000001-0", 100),
		answer: results(`[{"Start":4.0,"End":13.2,"Goal":true},{"Start":17.9,"End":17.9}]`),
		want: `{"segments":[{"id":"000001-0","startMicros":4000000,"endMicros":13200000,"attributes":{"Goal":true}},` +
			`{"startMicros":17900000,"attributes":{}}]}`,
	},
	"segmenter: the open one again is an update": {
		plugin: "moments", edit: open("000001-0", 100), answer: results(`[{"Start":4.0,"Goal":true}]`),
		want: `{"segments":[{"id":"000001-0","startMicros":4000000,"attributes":{"Goal":true}}]}`,
	},
	"segmenter: a segment that starts at 0": {
		plugin: "moments", edit: open("000001-0", 0), answer: results(`[{"Start":0,"End":13.2}]`),
		want: `{"segments":[{"id":"000001-0","startMicros":0,"endMicros":13200000,"attributes":{}}]}`,
	},
	"segmenter: a new one closes the open one": {
		plugin: "moments", edit: open("000001-0", 100), answer: results(`[{"Start":12,"End":14}]`),
		want: `{"segments":[{"id":"000001-0","startMicros":4000000,"endMicros":12000000,"attributes":{}},` +
			`{"startMicros":12000000,"endMicros":14000000,"attributes":{}}]}`,
		notes: 1,
	},
	"segmenter: two open ones": {
		plugin: "moments", answer: results(`[{"Start":12},{"Start":14}]`),
		want: `{"segments":[{"startMicros":12000000,"endMicros":14000000,"attributes":{}},` +
			`{"startMicros":14000000,"attributes":{}}]}`,
		notes: 1,
	},
	"segmenter: an overlap is cut off": {
		plugin: "moments", edit: after(100, 300), known: []api.Segment{},
		answer: results(`[{"Start":11,"End":14},{"Start":13,"End":13.5},{"Start":13.8}]`),
		want: `{"segments":[{"startMicros":12000000,"endMicros":14000000,"attributes":{}},` +
			`{"startMicros":14000000,"attributes":{}}]}`,
		notes: 3,
	},
	"segmenter: overlaps that are allowed stay": {
		plugin: "moments", edit: after(100, 300), known: []api.Segment{}, overlap: true,
		answer: results(`[{"Start":11,"End":14},{"Start":13,"End":13.5},{"Start":13.8},{"Start":3,"End":30},{"Start":15}]`),
		want: `{"segments":[{"startMicros":3000000,"endMicros":30000000,"attributes":{}},
			{"startMicros":11000000,"endMicros":14000000,"attributes":{}},
			{"startMicros":13000000,"endMicros":13500000,"attributes":{}},{"startMicros":13800000,"attributes":{}},
			{"startMicros":15000000,"attributes":{}}]}`,
	},
	"segmenter: each of several open ones is closed by its start": {
		plugin: "moments", overlap: true, edit: func(l *api.Lease) {
			l.Input.Segmenter.AlsoOpen = []api.Segment{testSegment("000001-0", 25, 0), testSegment("000001-1", 100, 0)}
			l.Input.Segmenter.Open = new(testSegment("000001-2", 200, 0))
		},
		answer: results(`[{"Start":1,"End":12},{"Start":4.01,"Goal":true},{"Start":8,"End":8.01},{"Start":9,"End":11}]`),
		want: `{"segments":[{"id":"000001-0","startMicros":1000000,"endMicros":12000000,"attributes":{}},
			{"id":"000001-1","startMicros":4000000,"attributes":{"Goal":true}},
			{"id":"000001-2","startMicros":8000000,"endMicros":8040000,"attributes":{}},
			{"startMicros":9000000,"endMicros":11000000,"attributes":{}}]}`,
	},
	"segmenter: with overlaps, too, a complete one again is an update of its attributes": {
		plugin: "moments", edit: after(100, 300), overlap: true, known: []api.Segment{testSegment("000001-7", 25, 500)},
		answer: results(`[{"Start":4,"End":13,"Summary":"s"},{"Start":1,"End":20,"Summary":"t"}]`),
		want: `{"segmentAttributes":[{"segmentID":"000001-0","attributes":{"Summary":"s"}},` +
			`{"segmentID":"000001-7","attributes":{"Summary":"t"}}]}`,
		notes: 1,
	},
	"segmenter: with overlaps, too, a segment is reported with the chunk in which it starts": {
		plugin: "moments", overlap: true, answer: results(`[{"Start":19.99,"End":22},{"Start":20.1,"End":22}]`),
		want: `{"segments":[{"startMicros":19960000,"endMicros":22000000,"attributes":{}}]}`, notes: 1,
	},
	"optimizer: marks that are elsewhere stay where overlaps are allowed": {
		plugin: "cutter", edit: toOptimize, overlap: true,
		answer: results(`[{"Start":4,"End":8,"OptoStart":9,"OptoStartCode":"Opto succeeded",
			"OptoEnd":11,"OptoEndCode":"Opto succeeded"},
			{"Start":10,"End":15,"OptoStart":11,"OptoStartCode":"mine","OptoEnd":11,"OptoEndCode":"mine"}]`),
		want: `{"optimized":[{"segmentID":"000001-0","startMicros":9000000,"endMicros":11000000,` +
			`"startCode":"Opto succeeded",` +
			`"endCode":"Opto succeeded"}]}`,
		notes: 1,
	},
	"segmenter: a complete one again is an update of its attributes": {
		plugin: "moments", edit: after(100, 300), answer: results(`[{"Start":4,"End":13,"Summary":"s"},{"Start":15}]`),
		want: `{"segments":[{"startMicros":15000000,"attributes":{}}],"segmentAttributes":[{"segmentID":"000001-0",` +
			`"attributes":{"Summary":"s"}}]}`,
		notes: 1,
	},
	"segmenter: one of long ago": {
		plugin: "moments", edit: after(200, 300), known: []api.Segment{testSegment("000001-7", 25, 50)},
		answer: results(`[{"Start":1,"End":2,"Summary":"s"}]`),
		want:   `{"segmentAttributes":[{"segmentID":"000001-7","attributes":{"Summary":"s"}}]}`,
	},
	"segmenter: before the open one": {
		plugin: "moments", edit: open("000001-0", 100), answer: results(`[{"Start":2,"End":3},{"Start":3,"End":12}]`),
		want:  `{"segments":[{"id":"000001-0","startMicros":4000000,"endMicros":12000000,"attributes":{}}]}`,
		notes: 2,
	},
	"segmenter: after the chunk": {
		plugin: "moments", answer: results(`[{"Start":20},{"Start":21,"End":22}]`),
		want:  `{"segments":[{"startMicros":19960000,"attributes":{}}]}`,
		notes: 1,
	},
	"segmenter: less than a frame": {
		plugin: "moments", answer: results(`[{"Start":12,"End":12.001}]`),
		want: `{"segments":[{"startMicros":12000000,"endMicros":12040000,"attributes":{}}]}`,
	},
	"segmenter: longer than allowed leaves room for the next": {
		plugin: "moments", edit: open("000001-0", 0), answer: results(`[{"Start":0,"End":500}]`),
		want: `{"segments":[{"id":"000001-0","startMicros":0,"endMicros":500000000,"attributes":{}}]}`,
	},

	"optimizer: marks, codes and what is missing": {
		plugin: "cutter", edit: toOptimize,
		answer: results(`[{"Start":4,"End":8,"OptoStart":3.5,"OptoStartCode":"Opto succeeded","OptoStartDescription":"d"},` +
			`{"Start":10,"OptoEnd":16,"OptoStartCode":"a","OptoEndCode":"b"}]`),
		want: `{"optimized":[{"segmentID":"000001-0","startMicros":3500000,"endMicros":8000000,
			"startCode":"Opto succeeded","endCode":"Not Attempted"},
			{"segmentID":"000001-1","startMicros":10000000,"endMicros":16000000,"startCode":"a","endCode":"b"}],
			"segmentAttributes":[{"segmentID":"000001-0","attributes":{"OptoStartDescription":"d"}}]}`,
	},
	"optimizer: without codes, unknown, without anything in common": {
		plugin: "cutter", edit: toOptimize,
		answer: results(`[{"Start":4,"OptoStart":3.5},{"Start":77,"OptoStartCode":"a"},` +
			`{"Start":10,"OptoStart":20,"OptoEnd":30,"OptoStartCode":"a"}]`),
		want: `{}`, notes: 3,
	},

	"labeler: by the start that was reported or moved; named outputs only": {
		plugin: "namer", edit: toLabel,
		answer: results(`[{"Start":4.011,"LabelCode":"Succeeded","Label":"15-30","Goal":true,"other":1},` +
			`{"Start":10,"LabelCode":"Succeeded","Label":7}]`),
		want: `{"labels":[{"segmentID":"000001-0","code":"Succeeded","label":"15-30","attributes":{"Goal":true}},
			{"segmentID":"000001-1","code":"Succeeded","label":"7","attributes":{}}]}`,
	},
	"labeler: not attempted, unknown": {
		plugin: "namer", edit: toLabel,
		answer: results(`[{"Start":4,"LabelCode":"Not Attempted"},{"Start":5,"LabelCode":"x"}]`), want: `{}`, notes: 2,
	},
	"labeler: no code": {plugin: "namer", edit: toLabel,
		answer: results(`[{"Start":4,"Label":"x"}]`), fails: "LabelCode is absent"},

	"ours": {
		plugin: "scenes", answer: `{"Mre":{"contract":"v1","results":[{"startMicros":1,"endMicros":2}],"variables":{"n":3}}}`,
		want: `{"results":[{"startMicros":1,"endMicros":2,"attributes":{}}],"variables":{"n":3}}`,
	},
	"ours: segments": {
		plugin: "moments", answer: `{"Mre":{"contract":"v1","segments":[{"id":"000001-0","startMicros":1,"endMicros":2,` +
			`"closeReason":"Detected"}]}}`,
		want: `{"segments":[{"id":"000001-0","startMicros":1,"endMicros":2,"closeReason":"Detected","attributes":{}}]}`,
	},
	"ours: another contract": {plugin: "scenes", answer: `{"Mre":{"contract":"v9"}}`, fails: `contract "v9"`},
	"ours: another class": {plugin: "scenes", answer: `{"Mre":{"contract":"v1","labels":[{"segmentID":"x"}]}}`,
		fails: "Mre.labels is for a Labeler"},
	"ours: a member that is none": {plugin: "scenes", answer: `{"Mre":{"contract":"v1","result":[]}}`,
		fails: `unknown field "result"`},
	"ours: ends before it starts": {plugin: "scenes",
		answer: `{"Mre":{"contract":"v1","results":[{"startMicros":3,"endMicros":2}]}}`, fails: "Mre.results[0]"},
	"ours: a segment of others": {plugin: "namer", edit: toLabel,
		answer: `{"Mre":{"contract":"v1","labels":[{"segmentID":"000009-0"}]}}`, fails: "Mre.labels[0].segmentID"},
	"ours: a variable that is none": {plugin: "scenes",
		answer: `{"Mre":{"contract":"v1","variables":{"a":[1]}}}`, fails: "a is a list"},

	"an error that was returned": {plugin: "moments", answer: `{"Output":{"Status":"Error","Results":[]}}`,
		fails: `Output.Status "Error"`},
	"nothing":        {plugin: "moments", answer: `null`, fails: "neither Output"},
	"not JSON":       {plugin: "moments", answer: `NaN`, fails: "not the JSON"},
	"something else": {plugin: "moments", answer: `{"statusCode":200}`, fails: `{"statusCode":200}`},
	"a start that is text": {plugin: "moments",
		answer: results(`[{"Start":"4"}]`), fails: `Output.Results[0]: Start is "4"`},
	"a start beyond everything":      {plugin: "scenes", answer: results(`[{"Start":1e300}]`), fails: "beyond any Event"},
	"a result that is not an object": {plugin: "scenes", answer: results(`[4]`), fails: "Results[0]: is 4"},
}

func TestOutput(t *testing.T) {
	for name, c := range outputCases {
		t.Run(name, func(t *testing.T) {
			run := testRun(t, c.plugin, 2, c.edit)
			if c.overlap {
				run.Plan.SegmentOverlap = new(api.PlanSegmentOverlapAllow)
			}
			if c.saved != "" {
				var list []any
				if err := json.Unmarshal([]byte(c.saved), &list); err != nil {
					t.Fatal(err)
				}
				saved, err := ParseReported(run.Plugin.Class, list)
				if err != nil {
					t.Fatal(err)
				}
				if err := run.Save(saved); err != nil {
					t.Fatal(err)
				}
			}
			known := Known(nothingKnown)
			if c.known != nil {
				known = func() ([]api.Segment, error) { return c.known, nil }
			}
			got, err := run.Output([]byte(c.answer), known)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) {
					t.Fatalf("the error is %v, want one with %q", err, c.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Output.Token != "secret" {
				t.Error("the output lacks the lease's token")
			}
			got.Output.Token = ""
			body, err := json.Marshal(got.Output)
			if err != nil {
				t.Fatal(err)
			}
			compareJSON(t, withToken(c.want), body)
			if len(got.Notes) != c.notes {
				t.Errorf("%d notes, want %d: %q", len(got.Notes), c.notes, got.Notes)
			}
		})
	}
}

// What is held back besides results leaves with the output, the answer's own word first.
func TestStagedLeavesWithTheOutput(t *testing.T) {
	run := testRun(t, "scenes", 2, nil)
	run.SetVariables(map[string]any{"a": "1", "b": 2.0, "gone": true})
	run.ForgetVariable("gone")
	run.Annotate("000002-0", map[string]any{"x": "1"})
	run.Annotate("000001-0", map[string]any{"y": "1"})
	run.Annotate("000001-0", map[string]any{"z": "2"})
	got, err := run.Output([]byte(`{"Mre":{"contract":"v1","variables":{"a":"9"}}}`), nothingKnown)
	if err != nil {
		t.Fatal(err)
	}
	want := api.TaskOutput{Token: "secret", Variables: map[string]any{"a": "9", "b": 2.0},
		SegmentAttributes: []api.SegmentAttributes{
			{SegmentID: "000001-0", Attributes: map[string]any{"y": "1", "z": "2"}},
			{SegmentID: "000002-0", Attributes: map[string]any{"x": "1"}}}}
	if diff := cmp.Diff(want, got.Output); diff != "" {
		t.Fatalf("(-want +got):\n%s", diff)
	}
}

// withToken adds the member that every output has.
func withToken(want string) []byte {
	var v map[string]any
	if err := json.Unmarshal([]byte(want), &v); err != nil {
		panic(want)
	}
	v["token"] = ""
	body, _ := json.Marshal(v)
	return body
}
