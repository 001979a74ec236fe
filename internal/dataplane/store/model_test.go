// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"database/sql"
	goflag "flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// modelHistories is how many random histories are compared with the model.
// "go test ./internal/dataplane/store -run Model -histories 10000" runs more.
var modelHistories = goflag.Int("histories", 60, "random histories that TestStoreEqualsModel compares with the model")

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
		m.tasks = append(m.tasks, &modelTask{kind: api.TaskKindFinal, chunk: int64(len(m.chunks)), plugin: m.plan.Segmenter, state: api.TaskStateBlocked})
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
		m.tasks = append(m.tasks, &modelTask{kind: api.TaskKindSegmenter, chunk: n, plugin: m.plan.Segmenter, state: api.TaskStateBlocked})
	}
}

func (m *model) planFeatures(n int64) {
	m.tasks = append(m.tasks, &modelTask{kind: api.TaskKindFramer, chunk: n, state: api.TaskStateBlocked})
	for _, q := range m.plan.Plugins {
		if q.Class == api.PlanPluginClassFeaturer {
			m.tasks = append(m.tasks, &modelTask{kind: api.TaskKindFeaturer, chunk: n, plugin: q.Name, track: int32(flag(isAudio(&q))), state: api.TaskStateBlocked})
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
			return (o.kind == api.TaskKindFramer && o.chunk <= t.chunk && o.chunk >= t.chunk-int64(q.LookbackChunks)) ||
				(o.kind == api.TaskKindFeaturer && o.chunk == t.chunk && slices.Contains(q.DependsOn, o.plugin))
		}
	case api.TaskKindSegmenter:
		waits = func(o *modelTask) bool {
			return (o.kind == api.TaskKindSegmenter && o.chunk < t.chunk) ||
				(o.kind == api.TaskKindFeaturer && o.chunk == t.chunk && (slices.Contains(q.DependsOn, o.plugin) || m.plan.byName[o.plugin].BeforeSegmenter))
		}
	case api.TaskKindFinal:
		waits = func(o *modelTask) bool { return o.kind == api.TaskKindSegmenter }
	default:
		return m.judgeClaim(t, q)
	}
	if m.any(func(o *modelTask) bool { return o.open() && waits(o) }) {
		return api.TaskStateBlocked
	}
	if t.kind == api.TaskKindSegmenter && (m.chunks[t.chunk-1].state == "empty" || (m.chunks[t.chunk-1].state == "missing")) {
		return api.TaskStateSkipped
	}
	spoiled := func(o *modelTask) bool {
		return o.kind == api.TaskKindFeaturer && o.chunk == t.chunk && o.state == api.TaskStateFailed &&
			m.plan.byName[o.plugin].OnFailure == api.PlanPluginOnFailureFailChunk && (t.kind == api.TaskKindSegmenter || m.plan.needs(t.plugin, o.plugin))
	}
	if (t.kind == api.TaskKindSegmenter || t.kind == api.TaskKindFeaturer) && m.any(spoiled) {
		return api.TaskStateSkipped
	}
	if t.kind == api.TaskKindFeaturer && !m.any(func(o *modelTask) bool {
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
			reads := (o.kind == api.TaskKindFeaturer && slices.Contains(q.DependsOn, o.plugin)) || (optimizer && o.kind == api.TaskKindSegmenter)
			return o.open() && o.chunk == int64(n+1) && reads
		}) {
			return api.TaskStateBlocked
		}
	}
	if !optimizer {
		return api.TaskStateReady
	}
	if m.any(func(o *modelTask) bool {
		return o.kind == api.TaskKindOptimizer && o.open() && o.track == t.track && cmp.Or(cmp.Compare(o.chunk, t.chunk), cmp.Compare(o.until, t.until)) < 0
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
		t.state, t.due = api.TaskStateReady, 0
		if t.losses++; t.losses == maxLosses {
			t.state = api.TaskStateFailed
		}
	}
}

// pick is the task that a worker gets.
func (m *model) pick(prefer int64) *modelTask {
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
			if t.state != api.TaskStateReady || t.due > m.now || !fits(t) {
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

// TestStoreEqualsModel plays random histories to the store and to the model:
// units in any order, twice, late, overlapping or never, failures, losses, time.
// After every step frontier, watermark, chunks, due times and the state of every
// task are equal, and both hand out the same task.
func TestStoreEqualsModel(t *testing.T) {
	h := newHarness(t)
	seen := map[string]int{}
	defer func() { t.Logf("%d histories: %v", repetitions(*modelHistories), seen) }()
	for seed := range uint64(repetitions(*modelHistories)) {
		r := rand.New(rand.NewPCG(seed, 77))
		p := &play{harness: h, t: t, seed: seed, r: r, script: match{moments: []int64{1, int64(3 + r.IntN(4)), 9, int64(12 + r.IntN(7))}}}
		h.uid = fmt.Sprintf("model-%d", seed)
		p.begin()
		for step := 0; !p.m.complete; step++ {
			if step > 2000 {
				t.Fatalf("seed %d: no end in sight: %v", seed, p.m.tasks)
			}
			what := p.move(step)
			p.m.step()
			if what == "nothing" {
				continue
			}
			p.compare(fmt.Sprintf("seed %d, step %d, %s", seed, step, what))
			seen["steps"]++
			seen[strings.Fields(what)[0]]++
		}
		for _, c := range p.m.chunks {
			seen["chunks "+c.state]++
			seen["chunks late"] += flag(c.late)
		}
		for _, task := range p.m.tasks {
			seen["tasks "+string(task.state)]++
		}
	}
}

// play is one history.
type play struct {
	*harness
	t      *testing.T
	seed   uint64
	r      *rand.Rand
	m      *model
	script match
	coming []int64
	held   []modelLease
}

type modelLease struct {
	*api.Lease
	task *modelTask
}

func (p *play) begin() {
	p.start(func(plan *api.Plan) {
		plan.GapTimeoutSeconds, plan.DrainTimeoutSeconds = modelTimeout, 1_000_000
		plan.Clips = api.PlanClips{}
		plan.Plugins[0].LookbackChunks = int32(p.r.IntN(3))
		plan.Plugins[0].BeforeSegmenter = p.r.IntN(2) == 0
		for i := range plan.Plugins[:3] {
			if p.r.IntN(4) == 0 {
				plan.Plugins[i].OnFailure = api.PlanPluginOnFailureFailChunk
			}
		}
		p.m = &model{plan: newPlan(*plan), missing: map[int64]bool{}}
	})
	p.m.now = p.clock.Now().UnixMicro()
	for n := range int64(modelUnits) {
		if p.r.IntN(8) > 0 {
			p.coming = append(p.coming, n)
		}
		if p.r.IntN(6) == 0 {
			p.coming = append(p.coming, n) // twice
		}
	}
	if len(p.coming) == 0 {
		p.coming = append(p.coming, 4)
	}
	if p.r.IntN(3) > 0 { // mostly in order
		slices.Sort(p.coming)
	}
	// A chunk may come late, or never.
	if fate, chunk := p.r.IntN(4), int64(p.r.IntN(3)); fate > 1 {
		lost := func(n int64) bool { return n/3 == chunk }
		late := slices.DeleteFunc(slices.Clone(p.coming), func(n int64) bool { return !lost(n) })
		if p.coming = slices.DeleteFunc(p.coming, lost); fate > 2 {
			p.coming = append(p.coming, late...)
		}
		p.coming = append(p.coming, 9)
	}
	for range p.r.IntN(3) {
		i, j := p.r.IntN(len(p.coming)), p.r.IntN(len(p.coming))
		p.coming[i], p.coming[j] = p.coming[j], p.coming[i]
	}
}

func (p *play) move(step int) string {
	switch k := p.r.IntN(10); {
	case k < 1+p.r.IntN(2) && len(p.coming) > 0:
		n := p.coming[0]
		p.coming = p.coming[1:]
		return p.unit(n)
	case k < 2 && !p.m.ended:
		if p.r.IntN(3) > 0 && step < 60 {
			return "nothing"
		}
		p.m.ended, p.m.frames = true, modelUnits*unitFrames
		p.must(p.s.EndSource(p.ctx, p.uid, api.SourceEnd{Frames: p.m.frames}))
		return "end"
	case k < 4:
		d := time.Duration(1+p.r.IntN(15)) * time.Second
		p.clock.Step(d)
		p.m.now = p.clock.Now().UnixMicro()
		_, err := p.s.Housekeep(p.ctx)
		p.must(err)
		p.m.tick()
		return "time"
	case k < 7:
		return p.take()
	case len(p.held) > 0:
		i := p.r.IntN(len(p.held))
		l := p.held[i]
		p.held = slices.Delete(p.held, i, i+1)
		return p.give(l)
	}
	if p.m.find(api.TaskKindFinal) != nil && !p.m.any((*modelTask).open) {
		p.exports()
		p.m.complete = p.event().State == api.EventStateStateComplete
	}
	return "nothing"
}

func (p *play) unit(n int64) string {
	u := p.nthUnit(n)
	if p.m.ended && u.FirstFrame+u.Frames > p.m.frames {
		return "nothing"
	}
	if p.r.IntN(10) == 0 && n+1 < modelUnits { // another run of ingest has cut elsewhere
		first := n*unitFrames + int64(p.r.IntN(unitFrames))
		u = p.harness.unit(first, unitFrames)
		tl := timeline.Timeline{OriginTicks: origin, Rate: timeline.Rational{Num: 25, Den: 1}, Frames: timeline.Open}
		u.Epoch, u.Key = 1, keys.Unit("sports", p.uid, 1, tl.FrameStartTicks(first))
	}
	p.must(p.s.RegisterUnit(p.ctx, p.uid, u))
	p.m.register(u.FirstFrame, u.FirstFrame+u.Frames)
	return fmt.Sprintf("unit %d-%d", u.FirstFrame, u.FirstFrame+u.Frames)
}

func (p *play) take() string {
	req := api.LeaseRequest{Pool: api.PoolWork, Holder: "w"}
	if prefer := int64(p.r.IntN(5)); prefer > 0 {
		req.Chunk = &prefer
	}
	prefer := int64(0)
	if req.Chunk != nil {
		prefer = *req.Chunk
	}
	p.m.expire() // leases that ran out come back with the next call
	p.m.step()
	want := p.m.pick(prefer)
	got, err := p.s.Lease(p.ctx, p.uid, req)
	p.must(err)
	if (want == nil) != (got.Lease == nil) {
		p.t.Fatalf("seed %d: leased %+v, the model %v", p.seed, got.Lease, want)
	}
	if want == nil {
		return "no task"
	}
	plugin := p.pluginOf(got.Lease)
	if plugin == "framer" {
		plugin = ""
	}
	if want.kind != got.Lease.Kind || want.chunk != got.Lease.Chunk || want.plugin != plugin {
		p.t.Fatalf("seed %d: leased %s of chunk %d (%s), the model %v", p.seed, got.Lease.Kind, got.Lease.Chunk, plugin, want)
	}
	want.state, want.expires, want.due = api.TaskStateLeased, p.m.now+30*second, 0
	want.leases++
	p.held = append(p.held, modelLease{got.Lease, want})
	return "lease " + want.String()
}

func (p *play) give(l modelLease) string {
	stale := l.task.state != api.TaskStateLeased || l.task.expires <= p.m.now || l.task.leases != l.Attempt
	var err error
	what := "complete"
	switch k := p.r.IntN(12); {
	case k == 0:
		return "vanish"
	case k == 1:
		what, err = "release", p.s.Release(p.ctx, p.uid, l.TaskID, l.Token)
		if err == nil {
			l.task.state = api.TaskStateReady
		}
	case k < 4:
		what = "fail"
		err = p.s.Fail(p.ctx, p.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: "by chance", Retryable: true})
		if err == nil {
			l.task.attempts++
			l.task.state, l.task.due = api.TaskStateReady, p.m.now+(second<<(l.task.attempts-1))
			if l.task.attempts == 3 {
				l.task.state = api.TaskStateFailed
			}
		}
	default:
		if err = p.completeTask(l.TaskID, p.script.work(l.Lease)); err == nil {
			l.task.state = api.TaskStateDone
			p.claims(l)
		}
	}
	if err != nil && !stale {
		p.t.Fatalf("seed %d: %s %v: %v", p.seed, what, l.task, err)
	}
	if l.task.state == api.TaskStateFailed {
		p.claims(l)
	}
	return what + " " + l.task.String()
}

// claims adds the tasks of the segments that a segmenter's task has closed; it
// is told by the rows which ones.
func (p *play) claims(l modelLease) {
	if l.Kind != api.TaskKindSegmenter && l.Kind != api.TaskKindFinal {
		return
	}
	taken := map[api.TaskKind]int{}
	for _, t := range p.m.tasks {
		taken[t.kind]++
	}
	type claim struct {
		id, end int64
		chunk   int64
	}
	for _, kind := range []api.TaskKind{api.TaskKindOptimizer, api.TaskKindLabeler} {
		all, err := collect(p.ctx, p.s.reader, func(r *sql.Rows) (c claim, err error) { return c, r.Scan(&c.id, &c.chunk, &c.end) },
			`SELECT t.id, t.chunk, MAX(s.out_us) FROM tasks t JOIN segments s ON s.event_uid = t.event_uid AND t.id IN (s.optimizer_task, s.labeler_task)
			WHERE t.event_uid = $1 AND t.kind = $2 GROUP BY t.id, t.chunk ORDER BY t.id`, p.uid, string(kind))
		p.must(err)
		for _, c := range all[taken[kind]:] {
			start := p.m.chunks[c.chunk-1].first * frameMicros
			task := &modelTask{kind: kind, chunk: c.chunk, plugin: *p.m.plan.Labeler, until: max(c.end-1, start), state: api.TaskStateBlocked}
			if kind == api.TaskKindOptimizer {
				task.plugin, task.until = *p.m.plan.Optimizer, max(c.end+2*second, start)
			}
			p.m.tasks = append(p.m.tasks, task)
		}
	}
}

func (p *play) compare(when string) {
	p.t.Helper()
	var got []string
	row := p.s.reader.QueryRowContext(p.ctx, `SELECT frames, watermark, COALESCE(gap_due_at, 0) FROM events WHERE uid = $1`, p.uid)
	var frames, watermark, due int64
	p.must(row.Scan(&frames, &watermark, &due))
	got = append(got, fmt.Sprintf("frames %d watermark %d due %d", frames, watermark, due))
	chunks, _, err := p.s.Chunks(p.ctx, p.uid, 1000, "")
	p.must(err)
	for _, c := range chunks {
		if c.State != api.ChunkStateOpen {
			got = append(got, fmt.Sprintf("chunk %d %s %d-%d %t", c.Extent.Number, c.State, c.Extent.FirstFrame, c.Extent.FirstFrame+c.Extent.Frames, c.Late))
		}
	}
	tasks, _, err := p.s.Tasks(p.ctx, p.uid, 1000, "")
	p.must(err)
	var states []string
	for _, t := range tasks {
		if t.Kind != api.TaskKindExport {
			states = append(states, (&modelTask{kind: t.Kind, chunk: t.Chunk, plugin: t.Plugin, track: t.Track, state: t.State}).String())
		}
	}
	slices.Sort(states)
	got = append(got, states...)

	want := []string{fmt.Sprintf("frames %d watermark %d due %d", p.m.front, len(p.m.chunks), p.m.gapDue)}
	for n, c := range p.m.chunks {
		want = append(want, fmt.Sprintf("chunk %d %s %d-%d %t", n+1, c.state, c.first, c.end, c.late))
	}
	states = nil
	for _, t := range p.m.tasks {
		states = append(states, t.String())
	}
	slices.Sort(states)
	want = append(want, states...)
	if !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			g, w := "-", "-"
			if i < len(got) {
				g = got[i]
			}
			if i < len(want) {
				w = want[i]
			}
			if g != w {
				p.t.Errorf("store %q, model %q", g, w)
			}
		}
		p.t.Fatalf("%s: the store is not what the model is:\n%s", when, strings.Join(got, "\n"))
	}
}
