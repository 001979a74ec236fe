// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	modelUnits   = 10 // of 2 s; a chunk is three
	modelTimeout = 20 // seconds until a hole is given up
)

// model is the queue and the watermark by definition: after every step it looks
// at all units, chunks and tasks anew. It knows no index, no wake-up, no
// increment, and nothing of the store's code but the plan.
type model struct {
	plan     *plan
	now      int64
	units    []modelUnit
	missing  map[int64]bool // frames that were given up and have not come since
	given    []modelUnit    // ranges that were given up
	ended    bool
	frames   int64 // of the source, once it has ended
	front    int64
	gapDue   int64
	chunks   []modelChunk
	tasks    []*modelTask
	complete bool
}

type modelUnit struct{ first, end int64 }

type modelChunk struct {
	state      string
	first, end int64
	late       bool
}

type modelTask struct {
	kind       api.TaskKind
	chunk      int64
	plugin     string
	track      int32
	state      api.TaskState
	until, due int64
	attempts   int32
	losses     int32
	awaySince  int64
	leases     int32
	expires    int64
}

func (t *modelTask) String() string {
	return fmt.Sprintf("%s/%d/%s/%d %s", t.kind, t.chunk, t.plugin, t.track, t.state)
}

func (t *modelTask) open() bool {
	return t.state == api.TaskStateBlocked || t.state == api.TaskStateReady || t.state == api.TaskStateLeased
}

const frameMicros = 40_000 // 25 frames a second

func (m *model) chunkMicros() int64 { return int64(m.plan.ChunkSeconds) * second }

func (m *model) chunkOf(frame int64) int64 { return frame*frameMicros/m.chunkMicros() + 1 }

func (m *model) allStored() bool { return m.ended && m.front >= m.frames }

// step brings everything up to date.
func (m *model) step() {
	before := m.front
	for m.front = 0; ; {
		next := m.front
		for _, u := range append(slices.Clone(m.units), m.given...) {
			if u.first <= m.front && u.end > next {
				next = u.end
			}
		}
		if next == m.front {
			break
		}
		m.front = next
	}
	hole := m.ended && m.front < m.frames
	for _, u := range m.units {
		hole = hole || u.first > m.front
	}
	switch {
	case !hole:
		m.gapDue = 0
	case m.gapDue == 0 || m.front != before:
		m.gapDue = m.now + modelTimeout*second
	}
	m.closeChunks()
	if m.allStored() && m.find(api.TaskKindFinal) == nil {
		m.tasks = append(m.tasks, &modelTask{kind: api.TaskKindFinal, chunk: int64(len(m.chunks)),
			plugin: m.plan.Segmenter, state: api.TaskStateBlocked})
	}
	for again := true; again; {
		again = false
		for _, t := range m.tasks {
			if t.state == api.TaskStateBlocked {
				t.state = m.judge(t)
				again = again || t.state != api.TaskStateBlocked
			}
		}
	}
}

func (m *model) closeChunks() {
	last := int64(0)
	for _, u := range m.units {
		if u.first < m.front {
			last = max(last, m.chunkOf(u.first))
		}
	}
	if m.front == 0 {
		return
	}
	if !m.allStored() {
		last--
	} else if m.missing[m.frames-1] {
		last = max(last, m.chunkOf(m.frames-1))
	}
	for n := int64(len(m.chunks)) + 1; n <= last; n++ {
		c := modelChunk{state: "closed"}
		if n > 1 {
			c.first = m.chunks[n-2].end
		}
		c.end = c.first
		for _, u := range m.units {
			if m.chunkOf(u.first) == n {
				c.end = max(c.end, u.end)
			}
		}
		if c.end == c.first {
			c.state = "empty"
			for f := c.first; f*frameMicros < n*m.chunkMicros(); f++ {
				if m.missing[f] {
					c.state, c.end = "missing", f+1
				}
			}
		}
		m.chunks = append(m.chunks, c)
		if c.state == "closed" {
			m.planFeatures(n)
		}
		m.tasks = append(m.tasks, &modelTask{kind: api.TaskKindSegmenter, chunk: n,
			plugin: m.plan.Segmenter, state: api.TaskStateBlocked})
	}
}

func (m *model) planFeatures(n int64) {
	if slices.ContainsFunc(m.plan.Plugins, func(q api.PlanPlugin) bool {
		return q.Class == api.PlanPluginClassFeaturer && q.Container == nil
	}) {
		m.tasks = append(m.tasks, &modelTask{kind: api.TaskKindFramer, chunk: n, state: api.TaskStateBlocked})
	}
	for _, q := range m.plan.Plugins {
		if q.Class == api.PlanPluginClassFeaturer {
			m.tasks = append(m.tasks, &modelTask{kind: api.TaskKindFeaturer, chunk: n, plugin: q.Name,
				track: int32(flag(isAudio(&q))), state: api.TaskStateBlocked})
		}
	}
}

func (m *model) find(kind api.TaskKind) *modelTask {
	for _, t := range m.tasks {
		if t.kind == kind {
			return t
		}
	}
	return nil
}

// any says whether a task fits.
func (m *model) any(fits func(t *modelTask) bool) bool { return slices.ContainsFunc(m.tasks, fits) }

// judge says what a blocked task is, by the table of the design.
func (m *model) judge(t *modelTask) api.TaskState {
	q := m.plan.byName[t.plugin]
	var waits func(o *modelTask) bool
	switch t.kind {
	case api.TaskKindFramer:
		return api.TaskStateReady
	case api.TaskKindFeaturer:
		waits = func(o *modelTask) bool {
			return (o.kind == api.TaskKindFramer && q.Container == nil && o.chunk <= t.chunk &&
				o.chunk >= t.chunk-int64(q.LookbackChunks)) ||
				(o.kind == api.TaskKindFeaturer && o.chunk == t.chunk && slices.Contains(q.DependsOn, o.plugin))
		}
	case api.TaskKindSegmenter:
		waits = func(o *modelTask) bool {
			return (o.kind == api.TaskKindSegmenter && o.chunk < t.chunk) ||
				(o.kind == api.TaskKindFeaturer && o.chunk == t.chunk &&
					(slices.Contains(q.DependsOn, o.plugin) || m.plan.byName[o.plugin].BeforeSegmenter))
		}
	case api.TaskKindFinal:
		waits = func(o *modelTask) bool { return o.kind == api.TaskKindSegmenter }
	default:
		return m.judgeClaim(t, q)
	}
	if m.any(func(o *modelTask) bool { return o.open() && waits(o) }) {
		return api.TaskStateBlocked
	}
	if t.kind == api.TaskKindSegmenter &&
		(m.chunks[t.chunk-1].state == "empty" || (m.chunks[t.chunk-1].state == "missing")) {
		return api.TaskStateSkipped
	}
	spoiled := func(o *modelTask) bool {
		return o.kind == api.TaskKindFeaturer && o.chunk == t.chunk && o.state == api.TaskStateFailed &&
			m.plan.byName[o.plugin].OnFailure == api.PlanPluginOnFailureFailChunk &&
			(t.kind == api.TaskKindSegmenter || m.plan.needs(t.plugin, o.plugin))
	}
	if (t.kind == api.TaskKindSegmenter || t.kind == api.TaskKindFeaturer) && m.any(spoiled) {
		return api.TaskStateSkipped
	}
	if t.kind == api.TaskKindFeaturer && q.Container == nil && !m.any(func(o *modelTask) bool {
		return o.kind == api.TaskKindFramer && o.chunk == t.chunk && o.state == api.TaskStateDone
	}) {
		return api.TaskStateSkipped
	}
	return api.TaskStateReady
}

// judgeClaim is judge for optimizers and labelers: everything that they read up
// to a point in time must be there.
func (m *model) judgeClaim(t *modelTask, q *api.PlanPlugin) api.TaskState {
	final := m.find(api.TaskKindFinal)
	finalDone := final != nil && !final.open()
	ended := m.allStored()
	optimizer := t.kind == api.TaskKindOptimizer
	if optimizer {
		ended = finalDone
	}
	last := m.chunks[len(m.chunks)-1]
	if !ended && last.end*frameMicros <= t.until {
		return api.TaskStateBlocked
	}
	for n, c := range m.chunks {
		if c.first*frameMicros <= t.until && m.any(func(o *modelTask) bool {
			reads := (o.kind == api.TaskKindFeaturer && slices.Contains(q.DependsOn, o.plugin)) ||
				(optimizer && o.kind == api.TaskKindSegmenter)
			return o.open() && o.chunk == int64(n+1) && reads
		}) {
			return api.TaskStateBlocked
		}
	}
	if !optimizer {
		return api.TaskStateReady
	}
	if m.any(func(o *modelTask) bool {
		return o.kind == api.TaskKindOptimizer && o.open() && o.track == t.track &&
			cmp.Or(cmp.Compare(o.chunk, t.chunk), cmp.Compare(o.until, t.until)) < 0
	}) {
		return api.TaskStateBlocked
	}
	horizon := t.chunk
	for n, c := range m.chunks {
		if c.first*frameMicros <= t.until {
			horizon = max(horizon, int64(n+1))
		}
	}
	if m.allStored() && horizon >= int64(len(m.chunks)) && !finalDone {
		return api.TaskStateBlocked
	}
	return api.TaskStateReady
}

// register is a unit that comes, maybe late, maybe again.
func (m *model) register(first, end int64) {
	known := modelUnit{first, end}
	if slices.Contains(m.units, known) {
		return
	}
	m.units = append(m.units, known)
	for f := first; f < end; f++ {
		delete(m.missing, f)
	}
	n := m.chunkOf(first)
	if n > int64(len(m.chunks)) || m.chunks[n-1].state != "missing" {
		return
	}
	c := &m.chunks[n-1]
	for f := c.first; f < c.end; f++ {
		if m.missing[f] {
			return
		}
	}
	c.state, c.late = "closed", true
	m.planFeatures(n)
}

// tick is time that passes.
func (m *model) tick() {
	m.expire()
	if m.gapDue == 0 || m.gapDue > m.now {
		return
	}
	end := m.frames
	first := true
	for _, u := range m.units {
		if u.first > m.front && (first || u.first < end) {
			end, first = u.first, false
		}
	}
	m.given = append(m.given, modelUnit{m.front, end})
	for f := m.front; f < end; f++ {
		m.missing[f] = true
	}
}

// expire takes back what silent holders had; who takes it down again and again
// is at fault in the end.
func (m *model) expire() {
	for _, t := range m.tasks {
		if t.state != api.TaskStateLeased || t.expires > m.now {
			continue
		}
		t.lose()
	}
}

// lose is a holder that ended while it had the task.
func (t *modelTask) lose() {
	t.state, t.due, t.awaySince = api.TaskStateReady, 0, 0
	if t.losses++; t.losses == maxLosses {
		t.state = api.TaskStateFailed
	}
}

// poolOf is where a task runs.
func (m *model) poolOf(t *modelTask) string {
	q := m.plan.byName[t.plugin]
	if q == nil || q.Container == nil || q.Container.Pool == "" {
		return "work"
	}
	return "work/" + q.Container.Pool
}

// inPool counts a pool's tasks, without what is looked for in chunks that came late.
func (m *model) inPool(pool string) (n int, open bool) {
	for _, t := range m.tasks {
		looks := t.kind == api.TaskKindFramer || t.kind == api.TaskKindFeaturer
		if m.poolOf(t) == pool && (!looks || !m.chunks[t.chunk-1].late) {
			n++
			open = open || t.open()
		}
	}
	return n, open
}

// pick is the task that a worker of a pool gets.
func (m *model) pick(pool string, prefer int64) *modelTask {
	stage := func(t *modelTask) int {
		switch t.kind {
		case api.TaskKindFramer:
			return 2
		case api.TaskKindFeaturer:
			return 1
		}
		return 0
	}
	best := func(fits func(t *modelTask) bool, byChunk bool) *modelTask {
		var found *modelTask
		for _, t := range m.tasks { // in the order in which they were planned
			if m.poolOf(t) != pool || t.state != api.TaskStateReady || t.due > m.now || !fits(t) {
				continue
			}
			if found == nil || stage(t) < stage(found) || (byChunk && stage(t) == stage(found) && t.chunk < found.chunk) {
				found = t
			}
		}
		return found
	}
	if t := best(func(t *modelTask) bool { return t.chunk == prefer }, false); prefer > 0 && t != nil {
		return t
	}
	return best(func(*modelTask) bool { return true }, true)
}
