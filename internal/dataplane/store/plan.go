// SPDX-License-Identifier: Apache-2.0

package store

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	microsPerSecond = 1_000_000
	// defaultWindowSeconds is how far an optimizer looks past a segment's
	// marks when its configuration does not say.
	defaultWindowSeconds = 2
)

// plan is a compiled Profile with what readiness asks of it most.
type plan struct {
	api.Plan
	byName map[string]*api.PlanPlugin
}

func newPlan(p api.Plan) *plan {
	c := &plan{Plan: p, byName: make(map[string]*api.PlanPlugin, len(p.Plugins))}
	for i := range p.Plugins {
		c.byName[p.Plugins[i].Name] = &p.Plugins[i]
	}
	return c
}

// checkPlan refuses a plan that could not run, with the field's name.
func checkPlan(uid string, p api.Plan) error {
	switch {
	case p.Event.UID != uid:
		return invalid("event.uid is %q, but the plan was put for %q", p.Event.UID, uid)
	case p.Hash == "":
		return invalid("hash is empty")
	case p.Event.Namespace == "" || p.Event.Name == "":
		return invalid("event.namespace and event.name must be set")
	case p.ChunkSeconds < 1:
		return invalid("chunkSeconds is %d; it must be at least 1", p.ChunkSeconds)
	case p.MaxSegmentSeconds < 1:
		return invalid("maxSegmentSeconds is %d; it must be at least 1", p.MaxSegmentSeconds)
	case p.GapTimeoutSeconds < 1:
		return invalid("gapTimeoutSeconds is %d; it must be at least 1", p.GapTimeoutSeconds)
	case p.DrainTimeoutSeconds < 1:
		return invalid("drainTimeoutSeconds is %d; it must be at least 1", p.DrainTimeoutSeconds)
	}
	if o := p.SegmentOverlap; o != nil && !o.Valid() {
		return invalid("segmentOverlap is %q; it is Trim or Allow", *o)
	}
	c := newPlan(p)
	if len(c.byName) != len(p.Plugins) {
		return invalid("plugins holds a name twice")
	}
	roles := []struct {
		field string
		name  *string
		class api.PlanPluginClass
	}{
		{"segmenter", &p.Segmenter, api.PlanPluginClassSegmenter},
		{"optimizer", p.Optimizer, api.PlanPluginClassOptimizer},
		{"labeler", p.Labeler, api.PlanPluginClassLabeler},
	}
	for _, r := range roles {
		if r.name == nil {
			continue
		}
		if q := c.byName[*r.name]; q == nil || q.Class != r.class {
			return invalid("%s names %q, which is not a %s among the plugins", r.field, *r.name, r.class)
		}
	}
	seen := map[string]bool{}
	for _, q := range p.Plugins {
		if q.Container != nil && q.Container.Pool != "" && !poolName.MatchString(q.Container.Pool) {
			return invalid("plugin %q names the pool %q; a pool's name is a lower-case DNS label of at most 32 characters",
				q.Name, q.Container.Pool)
		}
		for _, d := range q.DependsOn {
			dep := c.byName[d]
			if dep == nil || dep.Class != api.PlanPluginClassFeaturer {
				return invalid("plugin %q depends on %q, which is not a Featurer among the plugins", q.Name, d)
			}
			if q.Class == api.PlanPluginClassFeaturer && !seen[d] {
				return invalid("plugin %q comes before %q, which it depends on; dependencies come first", q.Name, d)
			}
		}
		if q.Name == optionalName(p.Optimizer) {
			if _, err := windowMicros(q.Configuration); err != nil {
				return err
			}
		}
		seen[q.Name] = true
	}
	for _, name := range slices.Sorted(maps.Keys(p.Variables)) {
		if _, err := variableJSON(name, p.Variables[name]); err != nil {
			return err
		}
	}
	return checkVariableCount(int64(len(p.Variables)))
}

// poolName is what a pool may be called.
var poolName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?$`)

func optionalName(p *string) string {
	if p == nil {
		return ""
	}
	return *p
}

// overlaps says whether segments, and optimized marks, may reach into others.
func (p *plan) overlaps() bool {
	return p.SegmentOverlap != nil && *p.SegmentOverlap == api.PlanSegmentOverlapAllow
}

func (p *plan) maxSegmentMicros() int64 { return int64(p.MaxSegmentSeconds) * microsPerSecond }

// featurers are the plugins that run on every chunk, dependencies first.
func (p *plan) featurers() []*api.PlanPlugin {
	var out []*api.PlanPlugin
	for i := range p.Plugins {
		if p.Plugins[i].Class == api.PlanPluginClassFeaturer {
			out = append(out, &p.Plugins[i])
		}
	}
	return out
}

// readsSignals says that a plugin reads what the framer found. One in a
// container reads media.
func readsSignals(q *api.PlanPlugin) bool { return q.Container == nil }

// pool is where tasks of a kind and plugin run.
func (p *plan) pool(kind api.TaskKind, plugin string) api.Pool {
	switch kind {
	case api.TaskKindClip, api.TaskKindReel:
		return api.PoolRender
	case api.TaskKindExport:
		return poolExport
	}
	if q := p.byName[plugin]; q != nil && q.Container != nil {
		return api.WorkerPool(q.Container.Pool)
	}
	return api.PoolWork
}

// workerPools are the pools that plugins run in, and the one of framers.
func (p *plan) workerPools() []api.Pool {
	out := []api.Pool{api.PoolWork}
	for i := range p.Plugins {
		if pool := p.pool(api.TaskKindFeaturer, p.Plugins[i].Name); !slices.Contains(out, pool) {
			out = append(out, pool)
		}
	}
	return out
}

// claimPools are the pools of the optimizer and the labeler, whose tasks are planned when a segment is closed.
func (p *plan) claimPools() []api.Pool {
	var out []api.Pool
	for _, name := range []*string{p.Optimizer, p.Labeler} {
		if name == nil {
			continue
		}
		if pool := p.pool(api.TaskKindOptimizer, *name); !slices.Contains(out, pool) {
			out = append(out, pool)
		}
	}
	return out
}

// maxLookback is how many later chunks a framer's signals may serve.
func (p *plan) maxLookback() int64 {
	var n int64
	for _, q := range p.featurers() {
		n = max(n, int64(q.LookbackChunks))
	}
	return n
}

// dependencies are the names a plugin depends on; nil for no plugin.
func (p *plan) dependencies(name string) []string {
	if q := p.byName[name]; q != nil {
		return q.DependsOn
	}
	return nil
}

// beforeSegmenter are the featurers that a chunk's segmenter waits for: those
// whose results it reads, and those that are asked to come first.
func (p *plan) beforeSegmenter() []string {
	names := slices.Clone(p.dependencies(p.Segmenter))
	for _, q := range p.featurers() {
		if q.BeforeSegmenter && !slices.Contains(names, q.Name) {
			names = append(names, q.Name)
		}
	}
	return names
}

// needs says whether a plugin reads another's results, also by way of others.
func (p *plan) needs(name, other string) bool {
	for _, d := range p.dependencies(name) {
		if d == other || p.needs(d, other) {
			return true
		}
	}
	return false
}

// onFailure is what follows when a plugin has failed for good.
func (p *plan) onFailure(name string) api.PlanPluginOnFailure {
	if q := p.byName[name]; q != nil && q.OnFailure != "" {
		return q.OnFailure
	}
	return api.PlanPluginOnFailureSkip
}

// dependsOn says whether a plugin reads another's results.
func (p *plan) dependsOn(name, other string) bool {
	return slices.Contains(p.dependencies(name), other)
}

// optimizerWindow is how far past a segment's marks the optimizer looks.
func (p *plan) optimizerWindow() int64 {
	q := p.byName[optionalName(p.Optimizer)]
	if q == nil {
		return 0
	}
	w, err := windowMicros(q.Configuration)
	if err != nil { // checkPlan has refused such a plan
		return defaultWindowSeconds * microsPerSecond
	}
	return w
}

// windowKeys say in an optimizer's configuration how far it looks: ours, and
// what MRE's plugins call it.
var windowKeys = []string{"windowSeconds", "optimization_search_window_sec"}

// windowMicros reads the first window that is set, a number or text of one.
func windowMicros(configuration map[string]any) (int64, error) {
	for _, key := range windowKeys {
		if v, ok := configuration[key]; ok {
			return secondsIn(key, v)
		}
	}
	return defaultWindowSeconds * microsPerSecond, nil
}

func secondsIn(key string, v any) (int64, error) {
	var seconds float64
	var err error
	switch x := v.(type) {
	case float64:
		seconds = x
	case int:
		seconds = float64(x)
	case int64:
		seconds = float64(x)
	case json.Number:
		seconds, err = x.Float64()
	case string:
		seconds, err = strconv.ParseFloat(x, 64)
	default:
		return 0, invalid("the optimizer's configuration %s is %v; it must be a number", key, v)
	}
	if err != nil || !(seconds >= 0 && seconds <= 3600) {
		return 0, invalid("the optimizer's configuration %s is %v; it must be a number from 0 to 3600", key, v)
	}
	return int64(seconds*microsPerSecond + 0.5), nil
}

// maxAttempts of tasks that are no plugin's.
const (
	framerAttempts = 3
	renderAttempts = 3
	exportAttempts = 5
)

// maxAttempts is how often a task may fail before it fails for good.
func (p *plan) maxAttempts(kind api.TaskKind, plugin string) int32 {
	switch kind {
	case api.TaskKindFramer:
		return framerAttempts
	case api.TaskKindClip, api.TaskKindReel:
		return renderAttempts
	case api.TaskKindExport:
		return exportAttempts
	}
	if q := p.byName[plugin]; q != nil && q.MaxAttempts > 0 {
		return q.MaxAttempts
	}
	return 1
}

// Time-outs, in seconds, of tasks that are no plugin's.
const (
	framerTimeout = 600
	clipTimeout   = 1200
	reelTimeout   = 7200
	pluginTimeout = 300
)

// timeoutSeconds is how long an attempt may take.
func (p *plan) timeoutSeconds(t *taskRow) int32 {
	switch t.kind {
	case api.TaskKindFramer:
		return framerTimeout
	case api.TaskKindClip:
		return clipTimeout
	case api.TaskKindReel:
		return reelTimeout
	}
	if q := p.byName[t.plugin]; q != nil && q.TimeoutSeconds > 0 {
		return q.TimeoutSeconds
	}
	return pluginTimeout
}

// clock is the Event's exact timeline; frames is its length, or timeline.Open.
func clockOf(t *api.Timeline, frames int64) timeline.Timeline {
	return timeline.Timeline{
		OriginTicks: t.OriginTicks,
		Rate:        timeline.Rational{Num: t.Rate.Num, Den: t.Rate.Den},
		Frames:      frames,
	}
}

// wireMark is the wire's form of a mark.
func wireMark(m timeline.Mark) api.Mark {
	return api.Mark{Frame: m.Frame, Ticks: m.Ticks, Micros: m.Micros}
}
