// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// The layers whose calls are counted.
const (
	layerSQL  = "sql"
	layerHTTP = "http"
	layerS3   = "s3"
	layerAPI  = "api"
)

var layers = []string{layerSQL, layerHTTP, layerS3, layerAPI}

// What becomes of the call.
const (
	// modeBefore fails it without its effect.
	modeBefore = "before"
	// modeAfter lets it have its effect and loses the answer.
	modeAfter = "after"
	// modeStop ends who made it, before the effect.
	modeStop = "stop"
	// modeKill ends who made it, after the effect.
	modeKill = "kill"
	// modeTwice delivers it twice.
	modeTwice = "twice"
	// modeLate fails it and delivers it later, when others may have taken over.
	modeLate = "late"
	// modeGhost delivers it later, too, and ends who made it.
	modeGhost = "ghost"
)

// modesOf are what can become of a layer's calls. Only calls of the data plane are delivered late: statements need
// their connection, and the other two have their own tests for it.
func modesOf(layer string) []string {
	modes := []string{modeBefore, modeAfter, modeStop, modeKill}
	if layer == layerHTTP {
		modes = append(modes, modeTwice, modeLate, modeGhost)
	}
	return modes
}

// policies say how the Event goes: with what, and when. The first three are deletion policies for one that is
// complete. The last one deletes it while it is at work, with each of these policies in turn.
var policies = []string{"delete", "outputs", "retain", policyEarly}

const policyEarly = "early"

// deletion is the deletion policy of a point's Event.
func (p point) deletion() string {
	if p.policy == policyEarly {
		return policies[p.k%3]
	}
	return p.policy
}

// steps is after how many steps an early deletion comes.
func (p point) steps() int {
	if p.k == 0 {
		return 75
	}
	return 15 + p.k*17%120
}

var (
	errInjected = errors.New("an injected fault")
	errDead     = errors.New("the process has stopped")
)

// point is where a run fails: the k-th call of a layer, from 1; and what else makes the run.
type point struct {
	layer, mode string
	k           int
	policy      string
	seed        uint64
}

func (p point) String() string {
	return fmt.Sprintf("%s:%s:%d:%s:%d", p.layer, p.mode, p.k, p.policy, p.seed)
}

func parsePoint(text string) (point, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 5 {
		return point{}, fmt.Errorf("%q is not LAYER:MODE:K:POLICY:SEED", text)
	}
	p := point{layer: parts[0], mode: parts[1], policy: parts[3]}
	var err1, err2 error
	p.k, err1 = strconv.Atoi(parts[2])
	p.seed, err2 = strconv.ParseUint(parts[4], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return point{}, fmt.Errorf("%q: %w", text, err)
	}
	if !slices.Contains(layers, p.layer) || !slices.Contains(modesOf(p.layer), p.mode) ||
		!slices.Contains(policies, p.policy) {
		return point{}, fmt.Errorf("%q: layers are %v, modes of this one %v, policies %v", text,
			layers, modesOf(p.layer), policies)
	}
	return p, nil
}

// proc is a process that can die: from then on none of its calls has an effect, and it gets no answers.
type proc struct {
	name string
	ctx  context.Context
	end  context.CancelFunc
	dead atomic.Bool
}

func newProc(ctx context.Context, name string) *proc {
	p := &proc{name: name}
	p.ctx, p.end = context.WithCancel(ctx)
	return p
}

func (p *proc) die() {
	p.dead.Store(true)
	p.end()
}

// injector counts calls and says which one is the faulty one.
type injector struct {
	at point

	mu     sync.Mutex
	on     bool
	counts map[string]int
	// lasting are the numbers of the statements that leave something behind: commits, and writes without a transaction.
	lasting map[int]bool
	// places are where the statements were made, the first one's first.
	places []place
	// step is which of the run's steps it is.
	step func() int
	// hit describes the call that failed.
	hit   string
	trace func(layer string, k int, who, what string)
	// later delivers a call when it is least expected.
	later func(deliver func())
}

// listen says whether calls count: those of who only looks do not.
func (i *injector) listen(on bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.on = on
	if i.counts == nil {
		i.counts, i.lasting = map[string]int{}, map[int]bool{}
	}
}

// lasts says that the statement made last has left something behind.
func (i *injector) lasts() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.on {
		i.lasting[i.counts[layerSQL]] = true
	}
}

func (i *injector) fault(layer string, p *proc, what string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if !i.on {
		return ""
	}
	i.counts[layer]++
	if layer == layerSQL {
		i.places = append(i.places, place{i.step(), i.counts[layerHTTP],
			i.counts[layerS3], i.counts[layerAPI], len(i.lasting)})
	}
	if i.trace != nil {
		i.trace(layer, i.counts[layer], p.name, what)
	}
	if i.at.layer != layer || i.at.k != i.counts[layer] {
		return ""
	}
	i.hit = p.name + ": " + what
	return i.at.mode
}

// place is what a process that ends at a statement has left to the world: it is the same for all statements between
// two effects, in the same call.
type place struct{ step, http, s3, api, lasting int }

// call makes a call of a process, or what the plan of faults makes of it. undo ends what a call that had its effect
// left open where nobody gets its answer.
func call[T any](i *injector, layer string, p *proc, what string, do func() (T, error), undo func(T)) (T, error) {
	var none T
	if p.dead.Load() {
		return none, errDead
	}
	mode := i.fault(layer, p, what)
	switch mode {
	case modeBefore:
		return none, errInjected
	case modeStop:
		p.die()
		return none, errDead
	}
	alone := func() {
		if v, err := do(); err == nil && undo != nil {
			undo(v)
		}
	}
	switch mode {
	case modeLate, modeGhost:
		i.later(alone)
		if mode == modeGhost {
			p.die()
		}
		return none, errInjected
	case modeTwice:
		alone()
	}
	v, err := do()
	switch mode {
	case modeAfter:
		err = errInjected
	case modeKill:
		p.die()
		err = errDead
	default:
		return v, err
	}
	if undo != nil {
		undo(v)
	}
	return none, err
}
