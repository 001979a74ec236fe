// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// maxNamed is how many tasks of a kind are named, before the rest is counted.
const maxNamed = 5

// waitsFor says what has to happen before the Event is through, the nearest cause first.
func waitsFor(v *eventView, now time.Time) []string {
	state := stateOf(&v.Event)
	if state.word == "Failed" {
		return nil
	}
	var waits []string
	if !state.ended() && state.word != "Running" {
		waits = append(waits, joined(state.reason, state.message))
	}
	if v.State != nil && !state.ended() {
		if v.State.Suspended {
			waits = append(waits, fmt.Sprintf("it is suspended: kubectl mre resume %s -n %s lets it go on",
				v.Event.Name, v.Event.Namespace))
		}
		if !value(v.State.SourceEnded) {
			waits = append(waits, fmt.Sprintf("the end of the source: %s is stored so far",
				clock{}.micros(v.State.Progress.TimelineMicros)))
		}
	}
	waits = append(waits, atWork(v.tasks, now)...)
	waits = append(waits, notTaken(v.tasks, now)...)
	if v.oldest != nil {
		waits = append(waits, blocked(v.oldest)...)
	}
	if state.word == "Complete" {
		waits = append(waits, reels(v.Replays)...)
	}
	return waits
}

func joined(reason, message string) string {
	if reason == "" || message == "" {
		return reason + message
	}
	return reason + ": " + message
}

// atWork names who does what.
func atWork(tasks []api.Task, now time.Time) []string {
	var all []string
	for i := range tasks {
		t := &tasks[i]
		if t.State == api.TaskStateLeased {
			all = append(all, fmt.Sprintf("%s: %s works on it for %s", taskName(t),
				value(t.Holder), took(now.Sub(value(t.LeasedAt)))))
		}
	}
	return some(all, "tasks at work")
}

// notTaken are the tasks that nobody has taken yet, and those that are tried again later.
func notTaken(tasks []api.Task, now time.Time) []string {
	var later []string
	var work, render int
	for i := range tasks {
		t := &tasks[i]
		switch {
		case t.State != api.TaskStateReady:
		case t.DueAt != nil && t.DueAt.After(now):
			text := fmt.Sprintf("%s: tried again in %s (failed %d of %d times)", taskName(t),
				took(t.DueAt.Sub(now)), t.Attempts, t.MaxAttempts)
			if t.Error != nil {
				text += ": " + *t.Error
			}
			later = append(later, text)
		case t.Kind == api.TaskKindClip || t.Kind == api.TaskKindReel:
			render++
		case t.Kind != api.TaskKindExport:
			work++
		}
	}
	waits := some(later, "tasks that are tried again")
	if work > 0 {
		waits = append(waits, fmt.Sprintf("a free worker, for %s", many(work, "task")))
	}
	if render > 0 {
		waits = append(waits, fmt.Sprintf("a free renderer, for %s", many(render, "task")))
	}
	return waits
}

// many is a number of things that have a plain plural.
func many(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// blocked says what holds the tasks of a chunk back.
func blocked(d *api.ChunkDetail) []string {
	var all []string
	for i := range d.Tasks {
		t := &d.Tasks[i]
		if len(t.WaitsFor) > 0 {
			all = append(all, fmt.Sprintf("%s: waits for %s", taskName(&t.Task), strings.Join(t.WaitsFor, "; ")))
		}
	}
	return some(all, "tasks that wait for others")
}

// oldestBlocked is the first chunk with a task that waits for others.
func oldestBlocked(tasks []api.Task) (chunk int64, found bool) {
	for i := range tasks {
		t := &tasks[i]
		if t.State == api.TaskStateBlocked && t.Chunk > 0 && (!found || t.Chunk < chunk) {
			chunk, found = t.Chunk, true
		}
	}
	return chunk, found
}

// reels names the Replays that are not rendered.
func reels(replays []mrev1.Replay) []string {
	var waits []string
	for i := range replays {
		if _, ended := replayEnd(&replays[i]); ended {
			continue
		}
		c := meta.FindStatusCondition(replays[i].Status.Conditions, mrev1.ConditionRendered)
		if c == nil {
			c = &metav1.Condition{Message: "the manager has not looked at it yet"}
		}
		waits = append(waits, fmt.Sprintf("Replay %s: %s", replays[i].Name, joined(c.Reason, c.Message)))
	}
	return waits
}

// some are the first of many.
func some(all []string, what string) []string {
	if len(all) <= maxNamed {
		return all
	}
	return append(slices.Clip(all[:maxNamed]), fmt.Sprintf("%d more %s", len(all)-maxNamed, what))
}
