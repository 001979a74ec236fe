// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/dataplane/sweep"
)

// storyOf are the rows that must be the same whatever failed: without ids, tokens, times and attempts. What a claim
// is named after (which chunk triggered it) depends on who was faster; what it was for does not.
var storyOf = []string{
	`SELECT 'event', state, reason, frames, source_ended, source_frames, watermark,
		deleted, suspended_at, gap_due_at FROM events`,
	`SELECT 'unit', epoch, first_ticks, start_us, end_us, first_frame, end_frame, frames, payload_sha256, bytes, chunk
		FROM units ORDER BY epoch, first_ticks`,
	`SELECT 'chunk', number, state, start_us, end_us, first_frame, frames, units, open_tasks, failed_tasks, late
		FROM chunks ORDER BY number`,
	`SELECT 'gap', first_frame, end_frame FROM gaps ORDER BY first_frame`,
	`SELECT 'signals', chunk, signals FROM signals ORDER BY chunk`,
	`SELECT 'result', plugin, track, chunk, ordinal, state, start_frame, start_ticks, start_us, end_frame, end_ticks,
		end_us, attributes FROM results ORDER BY plugin, track, chunk, ordinal`,
	`SELECT 'segment', id, state, opened_chunk, closed_chunk, reported_us, in_frame, in_ticks, in_us, out_frame,
		out_ticks, out_us, close_reason, attributes, label, label_code, label_attributes, mark_version, marks_final
		FROM segments ORDER BY id`,
	`SELECT 'mark', segment_id, source, track, version, applied, in_frame, out_frame, start_code, end_code, marks_final
		FROM segment_marks ORDER BY segment_id, source, track, version`,
	`SELECT 'clip', segment_id, variant, track, mark_version, state, in_frame, out_frame, error FROM clips
		ORDER BY segment_id, variant, track, mark_version`,
	`SELECT 'replay', generation, LENGTH(plan_hash) FROM replays`,
	`SELECT 'plan', duration_us, parts FROM replay_plans ORDER BY hash`,
	`SELECT 'reel', output, state, error FROM reels ORDER BY output`,
	`SELECT 'task', kind, chunk, plugin, track, state, error, COUNT(*) FROM tasks
		WHERE kind NOT IN ('optimizer', 'labeler', 'clip', 'reel') GROUP BY kind, chunk, plugin, track, state, error
		ORDER BY kind, chunk, plugin, track`,
	`SELECT 'task', kind, state, error, COUNT(*) FROM tasks
		WHERE kind IN ('clip', 'reel') GROUP BY kind, state, error ORDER BY kind`,
	`SELECT 'claim', kind, plugin, track, state, error FROM tasks WHERE kind IN ('optimizer', 'labeler')
		GROUP BY kind, plugin, track, state, error ORDER BY kind, plugin, track`,
}

// read reads rows past the data plane, as text.
func (r *run) read(query string, args ...any) []string {
	rows, err := r.side.Query(query, args...)
	r.must(err)
	defer rows.Close()
	columns, err := rows.Columns()
	r.must(err)
	var out []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		r.must(rows.Scan(into...))
		out = append(out, strings.ReplaceAll(strings.ReplaceAll(strings.TrimSuffix(fmt.Sprintln(values...), "\n"),
			r.eventUID, "EVENT"), r.replayUID, "REPLAY"))
	}
	r.must(rows.Err())
	return out
}

func (r *run) count(query string) int {
	n := 0
	_, err := fmt.Sscan(r.read(query)[0], &n)
	r.must(err)
	return n
}

// check compares rows, bucket and cluster when all is at rest.
func (r *run) check() bool {
	r.inject.listen(false)
	defer r.inject.listen(true)
	for _, query := range storyOf {
		r.story = append(r.story, r.read(query)...)
	}
	r.checkOverlaps()
	r.checkAttempts()
	r.checkStatus()
	r.checkObjects()
	return true
}

// checkAttempts: no call that fails is a plugin's fault, so none costs an attempt. Only the data plane's own export has
// no other bound for a database that refuses what it is asked.
func (r *run) checkAttempts() {
	for _, line := range r.read(`SELECT kind, chunk, plugin, attempts, error
		FROM tasks WHERE attempts > 0 AND kind <> 'export'`) {
		r.violate("a task has spent attempts: %s", line)
	}
}

// checkOverlaps: segments of one Event never overlap.
func (r *run) checkOverlaps() {
	for _, line := range r.read(`SELECT a.id, b.id FROM segments a JOIN segments b ON a.id < b.id
		WHERE a.out_frame IS NULL OR b.out_frame IS NULL OR (a.in_frame < b.out_frame AND b.in_frame < a.out_frame)`) {
		r.violate("segments overlap: %s", line)
	}
}

// checkStatus compares the cluster with the data plane, and the statuses with those before them.
func (r *run) checkStatus() {
	var e mrev1.Event
	r.must(cluster.admin.Get(r.ctx, client.ObjectKey{Namespace: r.namespace, Name: eventName}, &e))
	state, err := r.plane.rows.Event(r.ctx, r.eventUID)
	r.must(err)
	if state.State != api.EventStateStateComplete ||
		!meta.IsStatusConditionTrue(e.Status.Conditions, mrev1.ConditionComplete) ||
		!meta.IsStatusConditionTrue(e.Status.Conditions, mrev1.ConditionReady) ||
		!meta.IsStatusConditionFalse(e.Status.Conditions, mrev1.ConditionFailed) {
		r.violate("the Event is %s in the data plane; its conditions are %v", state.State, summary(e.Status.Conditions))
	}
	want := fmt.Sprintf("%d/%d chunks, %d segments, %d/%d clips", state.Progress.ChunksProcessed,
		state.Progress.ChunksIngested, state.Progress.SegmentsComplete,
		state.Progress.ClipsRendered, state.Progress.ClipsWanted)
	if e.Status.Progress == nil || e.Status.Progress.Summary != want {
		r.violate("the Event's progress is %+v, the data plane's %s", e.Status.Progress, want)
	}
	if e.Status.PlanHash != state.PlanHash || e.Status.ObservedGeneration != e.Generation {
		r.violate("plan %s and generation %d in the status, plan %s and generation %d in truth", e.Status.PlanHash,
			e.Status.ObservedGeneration, state.PlanHash, e.Generation)
	}
	if e.Status.Artifacts == nil || state.ExportLocation == nil || e.Status.Artifacts.Export != *state.ExportLocation ||
		!slices.Equal(e.Status.Artifacts.EDL, state.EdlLocations) {
		r.violate("artifacts %+v, in the data plane %v %v", e.Status.Artifacts, state.ExportLocation, state.EdlLocations)
	}
	var replay mrev1.Replay
	r.must(cluster.admin.Get(r.ctx, client.ObjectKey{Namespace: r.namespace, Name: replayName}, &replay))
	reels, err := r.plane.rows.Replay(r.ctx, r.replayUID)
	r.must(err)
	if !meta.IsStatusConditionTrue(replay.Status.Conditions, mrev1.ConditionRendered) ||
		len(replay.Status.Outputs) != 1 || len(reels.Outputs) != 1 ||
		reels.Outputs[0].Location == nil || replay.Status.Outputs[0].MP4 != *reels.Outputs[0].Location {
		r.violate("the Replay's conditions are %v, its outputs %+v", summary(replay.Status.Conditions), replay.Status.Outputs)
	}
	var jobs batchv1.JobList
	r.must(cluster.admin.List(r.ctx, &jobs, client.InNamespace(r.namespace)))
	for _, j := range jobs.Items {
		r.violate("Job %s is left after the Event's end", j.Name)
	}
	r.checkHistory()
}

// checkHistory: what is terminal stays, and is told at most once.
func (r *run) checkHistory() {
	ended := map[string]string{}
	for n, w := range r.writes {
		if w.Kind != "Event" {
			continue
		}
		for _, kind := range []string{mrev1.ConditionComplete, mrev1.ConditionFailed} {
			is := meta.IsStatusConditionTrue(w.Status.Conditions, kind)
			if ended[kind] != "" && !is {
				r.violate("%s went back with write %d: it was true in write %s", kind, n, ended[kind])
			}
			if is {
				ended[kind] = fmt.Sprint(n)
			}
		}
	}
	if ended[mrev1.ConditionComplete] != "" && ended[mrev1.ConditionFailed] != "" {
		r.violate("the Event was both Complete and Failed")
	}
	told := 0
	for _, line := range r.told {
		if line == eventName+" "+mrev1.ReasonCompleted {
			told++
		}
	}
	if told > 1 {
		r.violate("that the Event is complete was told %d times", told)
	}
}

// named are the objects that rows name, with their sizes where a row knows them (-1 elsewhere).
func (r *run) named() map[string]int64 {
	out := map[string]int64{}
	for _, line := range r.read(`SELECT object_key, bytes FROM units UNION ALL
		SELECT thumbnail_key, 3 FROM clips WHERE thumbnail_key <> ''
		UNION ALL SELECT thumbnail_key, 3 FROM reels WHERE thumbnail_key <> ''`) {
		var key string
		var size int64
		if _, err := fmt.Sscan(line, &key, &size); err != nil {
			r.violate("a row names %q: %v", line, err)
		}
		out[key] = size
	}
	for _, line := range r.read(`SELECT object_key, proof FROM clips WHERE object_key <> ''
		UNION ALL SELECT object_key, proof FROM reels WHERE object_key <> ''`) {
		key, text, _ := strings.Cut(line, " ")
		var proof api.MediaProof
		if err := json.Unmarshal([]byte(text), &proof); err != nil {
			r.violate("the proof of %s is %q: %v", key, text, err)
		}
		out[key] = proof.Bytes
	}
	for _, text := range r.read(`SELECT exports FROM events WHERE exports <> ''`) {
		var e struct {
			JSON string
			EDLs []string
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.JSON == "" {
			r.violate("the exports are %q: %v", text, err)
		}
		out[e.JSON] = -1
		for _, key := range e.EDLs {
			out[key] = -1
		}
	}
	return out
}

// stored lists the bucket.
func (r *run) stored() map[string]int64 {
	out := map[string]int64{}
	r.quietly(func() {
		for o, err := range r.bucket.List(r.ctx, "") {
			r.must(err)
			out[strings.ReplaceAll(strings.ReplaceAll(o.Key, r.eventUID, "EVENT"), r.replayUID, "REPLAY")] = o.Bytes
		}
	})
	return out
}

// checkObjects: each object that a row names is there, with its size.
func (r *run) checkObjects() {
	stored := r.stored()
	for key, size := range r.named() {
		there, ok := stored[key]
		switch {
		case !ok:
			r.violate("a row names %s, which is not stored", key)
		case size >= 0 && there != size:
			r.violate("%s has %d bytes; its row says %d", key, there, size)
		}
	}
}

// quietly looks without being counted.
func (r *run) quietly(look func()) {
	r.inject.listen(false)
	look()
	r.inject.listen(true)
}

// checkSwept: nothing is stored that no row names.
func (r *run) checkSwept() bool {
	named := r.named()
	for key := range r.stored() {
		if _, ok := named[key]; !ok {
			r.violate("%s is stored after the sweep, and no row names it", key)
		}
	}
	r.checkObjects()
	return true
}

// checkGone: after the deletion there is nothing but the tombstone and what the policy keeps, which is listed.
func (r *run) checkGone() bool {
	for _, table := range r.read(tables[engine()]) {
		if slices.Contains([]string{"tombstones", "counters", "goose_db_version", "sqlite_sequence"}, table) {
			continue
		}
		if n := r.count(`SELECT COUNT(*) FROM ` + table); n > 0 {
			r.violate("%d rows are left in %s: %v", n, table, r.read(`SELECT * FROM ` + table)[0])
		}
	}
	for _, line := range r.read(`SELECT kind, phase FROM tombstones WHERE phase <> 'Done'`) {
		r.violate("a deletion stands at %s", line)
	}
	// One that was deleted before the manager had seen it has none.
	if n := r.count(`SELECT COUNT(*) FROM tombstones`); n > 2 || (n < 2 && r.at.policy != policyEarly) {
		r.violate("%d tombstones", n)
	}
	var jobs batchv1.JobList
	r.must(cluster.admin.List(r.ctx, &jobs, client.InNamespace(r.namespace)))
	for _, j := range jobs.Items {
		r.violate("Job %s is left after the deletion", j.Name)
	}
	r.checkHistory()
	r.checkRetained()
	return true
}

// kinds of objects that a policy keeps, by the folder.
var keptBy = map[string][]string{"delete": {}, "outputs": {"clips", "reels", "exports"},
	"retain": {"clips", "exports", "reels", "units"}}

func (r *run) checkRetained() {
	stored := r.stored()
	list := keys.Retained(r.namespace, "EVENT")
	listed := map[string]bool{}
	if _, ok := stored[list]; ok {
		var retained sweep.Retained
		r.quietly(func() {
			body, err := r.bucket.Get(r.ctx, keys.Retained(r.namespace, r.eventUID))
			r.must(err)
			defer body.Close()
			r.must(json.NewDecoder(body).Decode(&retained))
		})
		for _, location := range retained.Objects {
			key, ok := r.bucket.Key(location)
			if !ok {
				r.violate("retained.json lists %s, which is not ours", location)
			}
			listed[strings.ReplaceAll(strings.ReplaceAll(key, r.eventUID, "EVENT"), r.replayUID, "REPLAY")] = true
		}
	}
	delete(stored, list)
	folders := map[string]bool{}
	for key := range stored {
		if !listed[key] {
			r.violate("%s is stored after the deletion, and not listed", key)
		}
		folders[strings.Split(key, "/")[2]] = true
	}
	for key := range listed {
		if _, ok := stored[key]; !ok {
			r.violate("retained.json lists %s, which is not stored", key)
		}
	}
	var got []string
	for f := range folders {
		got = append(got, f)
	}
	slices.Sort(got)
	want := slices.Sorted(slices.Values(keptBy[r.at.deletion()]))
	exact := slices.Equal(got, want)
	if r.at.policy == policyEarly { // not all of it was there yet
		exact = !slices.ContainsFunc(got, func(f string) bool { return !slices.Contains(want, f) })
	}
	if !exact {
		r.violate("policy %s keeps %v, not %v", r.at.deletion(), got, want)
	}
}
