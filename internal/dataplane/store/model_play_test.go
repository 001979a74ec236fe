// SPDX-License-Identifier: Apache-2.0

package store

import (
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

// modelHistories is how many random histories are compared with the model, each made from its number, the seed.
// "go test ./internal/dataplane/store -run Model -histories 10000" runs more.
var (
	modelHistories = goflag.Int("histories", 60, "random histories that TestStoreEqualsModel compares with the model")
	firstHistory   = goflag.Uint64("first-history", 0, "seed of the first one")
)

// TestStoreEqualsModel plays random histories to the store and to the model:
// units in any order, twice, late, overlapping or never, failures, losses, time.
// After every step frontier, watermark, chunks, due times and the state of every
// task are equal, and both hand out the same task.
func TestStoreEqualsModel(t *testing.T) {
	h := newHarness(t)
	seen := map[string]int{}
	defer func() { t.Logf("%d histories: %v", repetitions(*modelHistories), seen) }()
	for n := range uint64(repetitions(*modelHistories)) {
		seed := *firstHistory + n
		r := rand.New(rand.NewPCG(seed, 77))
		p := &play{harness: h, t: t, seed: seed, r: r,
			script: match{moments: []int64{1, int64(3 + r.IntN(4)), 9, int64(12 + r.IntN(7))}}}
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
	// done is how many tasks a pool had when a worker was told that no more
	// would come.
	done map[string]int
}

type modelLease struct {
	*api.Lease
	task *modelTask
}

func (p *play) begin() {
	p.done = map[string]int{}
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
		if p.r.IntN(2) == 0 {
			for _, q := range plan.Plugins {
				if k := p.r.IntN(3); k > 0 {
					contained([]string{"", "gpu"}[k-1], q.Name)(plan)
				}
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
	req := api.LeaseRequest{Pool: []api.Pool{api.PoolWork, gpu}[p.r.IntN(2)], Holder: "w"}
	if prefer := int64(p.r.IntN(5)); prefer > 0 {
		req.Chunk = &prefer
	}
	prefer := int64(0)
	if req.Chunk != nil {
		prefer = *req.Chunk
	}
	p.m.expire() // leases that ran out come back with the next call
	p.m.step()
	want := p.m.pick(req.Pool, prefer)
	got, err := p.s.Lease(p.ctx, p.uid, req)
	p.must(err)
	if (want == nil) != (got.Lease == nil) {
		p.t.Fatalf("seed %d: leased %+v, the model %v", p.seed, got.Lease, want)
	}
	if want == nil {
		n, open := p.m.inPool(req.Pool)
		if done := got.Outcome == api.LeaseResponseOutcomeDone; done && open {
			p.t.Fatalf("seed %d: %s is done, and has open tasks", p.seed, req.Pool)
		} else if done {
			p.done[req.Pool] = n
		}
		return strings.ToLower(string(got.Outcome))
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
	switch k := p.r.IntN(13); {
	case k == 0:
		return "vanish"
	case k == 1 && p.r.IntN(2) == 0:
		what, err = "give back", p.s.GiveBack(p.ctx, p.uid, l.TaskID, l.Token)
		if err == nil {
			l.task.lose()
		}
	case k == 1:
		what, err = "release", p.s.Release(p.ctx, p.uid, l.TaskID, l.Token)
		if err == nil {
			l.task.state, l.task.awaySince = api.TaskStateReady, 0
		}
	case k == 2:
		known := p.r.IntN(2) == 0
		what, err = "away", p.s.Away(p.ctx, p.uid, l.TaskID, l.Token, "away", known)
		if err == nil {
			p.away(l.task, known)
		}
	case k < 5:
		what = "fail"
		err = p.s.Fail(p.ctx, p.uid, l.TaskID, api.TaskFailure{Token: l.Token, Message: "by chance", Retryable: true})
		if err == nil {
			l.task.attempts++
			l.task.awaySince = 0
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

// away is that a holder found the object store away: a minute ago at most when all do.
func (p *play) away(t *modelTask, known bool) {
	if t.awaySince == 0 {
		t.awaySince = p.m.now
	}
	if known && p.m.now-t.awaySince > 60*second {
		t.awaySince = p.m.now - 60*second
	}
	waited := p.m.now - t.awaySince
	if waited >= 15*60*second {
		t.state = api.TaskStateFailed
		return
	}
	t.state, t.due = api.TaskStateReady, p.m.now+min(60*second, max(second, waited))
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
		all, err := collect(p.ctx, p.s.reader, func(r *sql.Rows) (c claim, err error) {
			return c, r.Scan(&c.id, &c.chunk, &c.end)
		}, `SELECT t.id, t.chunk, MAX(s.out_us) FROM tasks t JOIN segments s ON s.event_uid = t.event_uid
			AND t.id IN (s.optimizer_task, s.labeler_task)
			WHERE t.event_uid = $1 AND t.kind = $2 GROUP BY t.id, t.chunk ORDER BY t.id`, p.uid, string(kind))
		p.must(err)
		for _, c := range all[taken[kind]:] {
			start := p.m.chunks[c.chunk-1].first * frameMicros
			task := &modelTask{kind: kind, chunk: c.chunk, plugin: *p.m.plan.Labeler,
				until: max(c.end-1, start), state: api.TaskStateBlocked}
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
	row := p.s.reader.QueryRowContext(p.ctx, `SELECT frames, watermark, COALESCE(gap_due_at, 0)
		FROM events WHERE uid = $1`, p.uid)
	var frames, watermark, due int64
	p.must(row.Scan(&frames, &watermark, &due))
	got = append(got, fmt.Sprintf("frames %d watermark %d due %d", frames, watermark, due))
	chunks, _, err := p.s.Chunks(p.ctx, p.uid, 1000, "")
	p.must(err)
	for _, c := range chunks {
		if c.State != api.ChunkStateOpen {
			got = append(got, fmt.Sprintf("chunk %d %s %d-%d %t", c.Extent.Number, c.State, c.Extent.FirstFrame,
				c.Extent.FirstFrame+c.Extent.Frames, c.Late))
		}
	}
	tasks, _, err := p.s.Tasks(p.ctx, p.uid, 1000, "")
	p.must(err)
	var states []string
	for _, t := range tasks {
		if t.Kind != api.TaskKindExport {
			states = append(states, (&modelTask{kind: t.Kind, chunk: t.Chunk,
				plugin: t.Plugin, track: t.Track, state: t.State}).String())
		}
	}
	slices.Sort(states)
	got = append(got, states...)

	want := []string{fmt.Sprintf("frames %d watermark %d due %d", p.m.front, len(p.m.chunks), p.m.gapDue)}
	for n, c := range p.m.chunks {
		want = append(want, fmt.Sprintf("chunk %d %s %d-%d %t", n+1, c.state, c.first, c.end, c.late))
	}
	for pool, n := range p.done {
		if now, _ := p.m.inPool(pool); now != n {
			p.t.Fatalf("%s: %s was done with %d tasks, and has %d", when, pool, n, now)
		}
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
