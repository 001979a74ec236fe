// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// variables are the Event's, as JSON text.
func (h *harness) variables() map[string]string {
	h.t.Helper()
	all, err := h.s.Variables(h.ctx, h.uid)
	h.must(err)
	out := map[string]string{}
	for name, v := range all {
		out[name] = string(v.(json.RawMessage))
	}
	return out
}

func (h *harness) wantVariables(want map[string]string) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.variables()); diff != "" {
		h.t.Errorf("variables (-want +got):\n%s", diff)
	}
}

// parallel starts an Event with two featurers that run side by side, and leases
// both.
func (h *harness) parallel() (a, b *api.Lease) {
	h.t.Helper()
	h.start(contained("", "scene", "peaks"), func(p *api.Plan) {
		p.Variables = map[string]string{"team": "red", "score": "0"}
	})
	h.register(0, 1, 2, 3)
	return h.lease(api.PoolWork), h.lease(api.PoolWork)
}

func raw(v string) *json.RawMessage { m := json.RawMessage(v); return &m }

func (h *harness) swap(l *api.Lease, name string, expected *json.RawMessage,
	value string) (api.VariableSwapResult, error) {
	return h.s.SwapVariable(h.ctx, h.uid, l.TaskID,
		api.VariableSwap{Token: l.Token, Name: name, Expected: expected, Value: json.RawMessage(value)})
}

func (h *harness) wantSwap(l *api.Lease, name string, expected *json.RawMessage,
	value string, swapped bool, current string) {
	h.t.Helper()
	r, err := h.swap(l, name, expected, value)
	h.must(err)
	got := ""
	if r.Current != nil {
		got = string(*r.Current)
	}
	if r.Swapped != swapped || got != current {
		h.t.Errorf("swap of %s to %s: %t, now %s; want %t, %s", name, value, r.Swapped, got, swapped, current)
	}
}

func TestVariablesArePublishedWithTheTask(t *testing.T) {
	h := newHarness(t)
	a, b := h.parallel()
	h.wantVariables(map[string]string{"team": `"red"`, "score": `"0"`})

	late := match{}.work(a)
	late.Variables = map[string]any{"team": "blue", "goals": 3.0, "live": true, "share": 0.25, "none": ""}
	first := match{}.work(b)
	first.Variables = map[string]any{"team": "green", "big": 1e300}
	h.must(h.completeTask(b.TaskID, first))
	h.wantVariables(map[string]string{"team": `"green"`, "score": `"0"`, "big": "1e+300"})
	h.must(h.completeTask(a.TaskID, late))
	want := map[string]string{"team": `"blue"`, "score": `"0"`, "big": "1e+300", "goals": "3",
		"live": "true", "share": "0.25", "none": `""`}
	h.wantVariables(want)
	h.must(h.completeTask(b.TaskID, first)) // a repeat of the one before changes nothing
	h.wantVariables(want)
	h.reopen()
	h.start(contained("", "scene", "peaks"), func(p *api.Plan) {
		p.Variables = map[string]string{"team": "red", "score": "0"}
	})
	h.wantVariables(want)
}

// What a run leaves behind that fails, or that lost its lease, is nothing.
func TestVariablesOfARunThatDoesNotCount(t *testing.T) {
	h := newHarness(t)
	stale, b := h.parallel()
	out := match{}.work(stale)
	out.Variables = map[string]any{"team": "blue"}
	h.clock.Step(31 * time.Second)
	_, err := h.s.Housekeep(h.ctx)
	h.must(err)
	h.wantErr(h.completeTask(stale.TaskID, out), ErrLeaseLost, "")
	_, err = h.swap(stale, "team", raw(`"red"`), `"blue"`)
	h.wantErr(err, ErrLeaseLost, "")
	_, err = h.swap(b, "team", raw(`"red"`), `"blue"`)
	h.wantErr(err, ErrLeaseLost, "")
	h.wantVariables(map[string]string{"team": `"red"`, "score": `"0"`})
}

func TestVariablesThatAreRefused(t *testing.T) {
	h := newHarness(t)
	l, _ := h.parallel()
	many := map[string]any{}
	for i := range maxVariables {
		many[fmt.Sprintf("v%03d", i)] = float64(i)
	}
	for words, variables := range map[string]map[string]any{
		"variables.list is neither":                         {"list": []any{1.0}},
		"variables.map is neither":                          {"map": map[string]any{}},
		"variables.nothing is neither":                      {"nothing": nil},
		"variables.long takes":                              {"long": strings.Repeat("x", maxVariableBytes)},
		"is not a variable's name":                          {"": "x"},
		`"a\nb" is not a variable's name`:                   {"a\nb": "x"},
		"bytes, without control":                            {strings.Repeat("n", maxVariableName+1): "x"},
		"would have 258 context variables; it can have 256": many,
	} {
		out := match{}.work(l)
		out.Variables = variables
		h.wantErr(h.completeTask(l.TaskID, out), ErrInvalid, words)
	}
	framer := h.lease(api.PoolWork)
	out := match{}.work(framer)
	out.Variables = map[string]any{"a": "b"}
	h.wantErr(h.completeTask(framer.TaskID, out), ErrInvalid, "come from plugins")
	h.wantVariables(map[string]string{"team": `"red"`, "score": `"0"`})

	p := testPlan("other")
	p.Variables = map[string]string{"long": strings.Repeat("x", maxVariableBytes)}
	_, err := h.s.PutPlan(h.ctx, "other", p)
	h.wantErr(err, ErrInvalid, "variables.long")
}

func TestSwap(t *testing.T) {
	h := newHarness(t)
	a, b := h.parallel()
	h.wantSwap(a, "lock", nil, `"a"`, true, `"a"`)
	h.wantSwap(b, "lock", nil, `"b"`, false, `"a"`)
	h.wantSwap(b, "lock", raw(`"b"`), `"c"`, false, `"a"`)
	h.wantSwap(b, "gone", raw(`1`), `2`, false, "")
	h.wantSwap(a, "lock", nil, `"a"`, true, `"a"`) // its answer was lost
	h.wantSwap(b, "lock", raw(`"a"`), `"b"`, true, `"b"`)
	h.wantSwap(a, "lock", nil, `"a"`, true, `"b"`) // and still, though b has it now
	h.wantSwap(a, "lock", nil, `"x"`, false, `"b"`)
	h.wantSwap(a, "score", raw(`"0"`), `1`, true, `1`)
	h.wantSwap(a, "lock", nil, `"a"`, false, `"b"`) // that is no repeat any more

	// Equal values are equal, however they are written.
	h.wantSwap(a, "score", raw(`1.0`), `2e0`, true, `2`)
	h.wantSwap(a, "score", raw(`2`), `9007199254740993`, true, `9007199254740993`)
	h.wantSwap(a, "score", raw(`9007199254740992`), `0`, false, `9007199254740993`)
	h.wantSwap(a, "score", raw(`9007199254740993`), `-0.0`, true, `0`)
	h.wantSwap(a, "team", raw("\"r\\u0065d\""), `"<b>\u0000"`, true, `"\u003cb\u003e\u0000"`)

	// What a swap set stays, whatever becomes of the run.
	h.must(h.fail(a, "no luck"))
	_, err := h.swap(a, "score", raw(`0`), `1`)
	h.wantErr(err, ErrLeaseLost, "")
	h.wantVariables(map[string]string{"lock": `"b"`, "score": "0", "team": `"\u003cb\u003e\u0000"`})
}

func TestSwapsThatAreRefused(t *testing.T) {
	h := newHarness(t)
	l, _ := h.parallel()
	for value, words := range map[string]string{`[1]`: "variables.x is neither", `null`: "neither",
		`{`: "not JSON", `1e999`: "64 bits", ``: "not JSON"} {
		_, err := h.swap(l, "x", nil, value)
		h.wantErr(err, ErrInvalid, words)
	}
	_, err := h.s.SwapVariable(h.ctx, h.uid, l.TaskID,
		api.VariableSwap{Token: "forged", Name: "x", Value: json.RawMessage(`1`)})
	h.wantErr(err, ErrLeaseLost, "")
	_, err = h.s.SwapVariable(h.ctx, h.uid, 4711, api.VariableSwap{Token: l.Token, Name: "x", Value: json.RawMessage(`1`)})
	h.wantErr(err, ErrNotFound, "4711")
	for i := range maxVariables - 2 {
		h.wantSwap(l, fmt.Sprintf("v%d", i), nil, `1`, true, `1`)
	}
	_, err = h.swap(l, "one-more", nil, `1`)
	h.wantErr(err, ErrInvalid, "257 context variables")
	h.wantSwap(l, "v0", raw(`1`), `2`, true, `2`)
}

// Of many who swap at once each wins once.
func TestSwapsSideBySide(t *testing.T) {
	h := newHarness(t)
	a, b := h.parallel()
	const each = 20
	var wait sync.WaitGroup
	for _, l := range []*api.Lease{a, b} {
		wait.Go(func() {
			current := raw(`"0"`)
			for won := 0; won < each; {
				n := 0
				_ = json.Unmarshal([]byte(strings.Trim(string(*current), `"`)), &n)
				r, err := h.swap(l, "score", current, fmt.Sprint(n+1))
				if err != nil {
					t.Error(err)
					return
				}
				if r.Swapped {
					won++
				}
				current = r.Current
			}
		})
	}
	wait.Wait()
	if got := h.variables()["score"]; got != fmt.Sprint(2*each) {
		t.Errorf("%s swaps counted, want %d", got, 2*each)
	}
}

func TestVariablesGoWithTheEvent(t *testing.T) {
	h := newHarness(t)
	h.parallel()
	h.must(h.s.Tombstone(h.ctx, h.uid, api.DeletionPolicyDelete))
	_, err := h.s.Variables(h.ctx, h.uid)
	h.wantErr(err, ErrGone, "")
	_, err = h.s.PurgeRows(h.ctx, h.uid)
	h.must(err)
	if n, err := one[int64](h.ctx, h.s.reader, `SELECT COUNT(*) FROM variables`); err != nil || n != 0 {
		t.Errorf("%d variables are left, %v", n, err)
	}
}
