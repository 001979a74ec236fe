// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

// notStarted says that the data plane does not know something yet.
func notStarted(err error) bool { return dpclient.Is(err, api.ProblemCodeNotFound) }

func eventTable(rows []eventRow, now time.Time, namespaces, wide bool) *terminal.Table {
	columns := []string{"NAME", "STATE", "CHUNKS", "SEGMENTS", "CLIPS", "REPLAYS", "TIMELINE", "AGE", "REASON"}
	if namespaces {
		columns = append([]string{"NAMESPACE"}, columns...)
	}
	if wide {
		columns = append(columns, "MESSAGE")
	}
	t := terminal.NewTable(columns...)
	for _, r := range rows {
		p := r.Progress
		if p == nil {
			p = &mrev1.EventProgress{}
		}
		cells := []any{
			r.Name, r.state.cell(), withFailed(fmt.Sprintf("%d/%d", p.Chunks.Processed, p.Chunks.Ingested),
				p.Chunks.Failed+p.Chunks.Missing),
			p.Segments.Complete, withFailed(fmt.Sprintf("%d/%d", p.Clips.Rendered, p.Clips.Wanted), p.Clips.Failed),
			fmt.Sprintf("%d/%d", r.ReplaysRendered, r.Replays), p.Timeline, age(now, r.Created), r.Reason,
		}
		if namespaces {
			cells = append([]any{r.Namespace}, cells...)
		}
		if wide {
			cells = append(cells, r.Message)
		}
		t.Row(cells...)
	}
	return t
}

// withFailed marks a count of which some will not come.
func withFailed(count string, failed int64) terminal.Cell {
	if failed == 0 {
		return terminal.Cell{Text: count}
	}
	return terminal.Cell{Text: fmt.Sprintf("%s (%d failed)", count, failed), Tone: terminal.Bad}
}

// event writes the detail.
func (g *page) event(v *eventView, now time.Time) {
	e := &v.Event
	state := stateOf(e)
	g.block(fmt.Sprintf("Event %s/%s", e.Namespace, e.Name))
	g.facts(state, factsOf(v, now))

	g.block("Conditions")
	conditions := terminal.NewTable("TYPE", "STATUS", "REASON", "AGE", "MESSAGE")
	for _, c := range e.Status.Conditions {
		conditions.Row(c.Type, terminal.Cell{Text: string(c.Status), Tone: conditionTone(c)}, c.Reason,
			age(now, c.LastTransitionTime.Time), c.Message)
	}
	g.tableOr(conditions, "none yet")

	if len(v.Stages) > 0 {
		g.block("Stages")
		g.table(stageTable(v.Stages))
	}
	if len(v.Replays) > 0 {
		g.block("Replays")
		g.table(replayTable(v.Replays))
	}
	g.block("Jobs")
	g.tableOr(jobTable(v.Jobs, now), "none")
	if len(v.DeadLetters) > 0 {
		g.block("Dead letters")
		g.table(deadLetterTable(v.DeadLetters, now))
		g.line(terminal.Cell{Text: fmt.Sprintf("%s retry %s -n %s tries them again.", g.p.Name, e.Name, e.Namespace),
			Tone: terminal.Faint})
	}
	if len(v.WaitsFor) > 0 {
		g.block("Waits for")
		g.bullets(v.WaitsFor)
	}
}

// facts are names and values, aligned.
func (g *page) facts(state eventState, facts [][2]string) {
	g.fact("state", state.cell())
	for _, f := range facts {
		g.fact(f[0], terminal.Cell{Text: f[1]})
	}
}

func (g *page) fact(name string, c terminal.Cell) {
	const nameWidth = 10
	if g.err == nil {
		_, g.err = fmt.Fprintf(g.p.Streams.Out, "%s%s%s\n", g.palette.Paint(terminal.Faint, name),
			strings.Repeat(" ", nameWidth-len(name)), g.palette.Paint(c.Tone, terminal.Clean(c.Text)))
	}
}

func factsOf(v *eventView, now time.Time) [][2]string {
	e := &v.Event
	var facts [][2]string
	if s := stateOf(e); s.word == "Complete" && s.reason == mrev1.ReasonCompletedWithFailures {
		facts = append(facts, [2]string{"missing", strings.TrimPrefix(s.message, "Missing: ")})
	}
	facts = append(facts, [2]string{"program", e.Spec.Program}, [2]string{"profile", e.Spec.ProfileRef.Name})
	if e.Spec.Source.File != nil {
		address := e.Spec.Source.File.URL
		if !strings.HasPrefix(address, "s3://") {
			address, _, _ = strings.Cut(address, "?") // the query of an address may hold a signature
		}
		facts = append(facts, [2]string{"source", address})
	}
	if s := e.Status.Source; s != nil {
		facts = append(facts, [2]string{"media", fmt.Sprintf("%s at %s frames/s, %s; %s: %s",
			s.Resolution, s.FrameRate, many(int(value(s.AudioTracks)), "audio track"), strings.ToLower(s.Ingest), s.Reason)})
		facts = append(facts, oddities(s)...)
	}
	if p := e.Status.Progress; p != nil && p.Timeline != "" {
		facts = append(facts, [2]string{"timeline", p.Timeline})
	}
	return append(facts, [2]string{"age", age(now, e.CreationTimestamp.Time)})
}

// oddities are what of the source is not as usual.
func oddities(s *mrev1.SourceStatus) [][2]string {
	var facts [][2]string
	for _, p := range s.Parts {
		facts = append(facts, [2]string{"from", fmt.Sprintf("%s %s: %s", p.From, strings.ToLower(p.Ingest), p.Reason)})
	}
	if more := int(value(s.PartsTotal)) - len(s.Parts); more > 0 {
		facts = append(facts, [2]string{"from", fmt.Sprintf("and %s more", many(more, "part"))})
	}
	for _, out := range s.LeftOut {
		facts = append(facts, [2]string{"left out", out})
	}
	if n := s.PicturesDropped; n != nil && *n > 0 {
		facts = append(facts, [2]string{"dropped",
			many(int(*n), "picture") + " of the source had to share a frame with another"})
	}
	if s.Incomplete != "" {
		facts = append(facts, [2]string{"cut off", s.Incomplete})
	}
	return facts
}

func (g *page) tableOr(t *terminal.Table, none string) {
	if t.Empty() {
		g.line(terminal.Cell{Text: none, Tone: terminal.Faint})
		return
	}
	g.table(t)
}

func stageTable(stages []stage) *terminal.Table {
	t := terminal.NewTable("STAGE", "DONE", "OF", "RUNNING", "READY", "BLOCKED", "FAILED", "SKIPPED")
	for _, s := range stages {
		of := any(s.Total)
		if s.Total == 0 && s.Done > 0 {
			of = "-"
		}
		t.Row(s.Name, s.Done, of, counted(s.Running, terminal.Busy), counted(s.Ready, terminal.Plain),
			counted(s.Blocked, terminal.Plain), counted(s.Failed, terminal.Bad), counted(s.Skipped, terminal.Plain))
	}
	return t
}

// counted is a number that matters only when it is not 0.
func counted(n int64, tone terminal.Tone) terminal.Cell {
	if n == 0 {
		tone = terminal.Faint
	}
	return terminal.Cell{Text: fmt.Sprint(n), Tone: tone}
}

func replayTable(replays []mrev1.Replay) *terminal.Table {
	t := terminal.NewTable("NAME", "RENDERED", "SEGMENTS", "LENGTH", "REASON", "MESSAGE")
	for i := range replays {
		r := &replays[i]
		rendered, reason, message := terminal.Cell{Text: "Unknown", Tone: terminal.Busy}, "", ""
		for _, c := range r.Status.Conditions {
			if c.Type == mrev1.ConditionRendered {
				rendered, reason, message = terminal.Cell{Text: string(c.Status), Tone: conditionTone(c)}, c.Reason, c.Message
			}
		}
		if problem, _ := replayEnd(r); problem != "" {
			rendered.Tone = terminal.Bad
		}
		length := ""
		if ms := value(r.Status.DurationMilliseconds); ms > 0 {
			length = seconds(ms * 1000)
		}
		t.Row(r.Name, rendered, value(r.Status.Selected), length, reason, message)
	}
	return t
}

func deadLetterTable(dead []api.Task, now time.Time) *terminal.Table {
	t := terminal.NewTable("TASK", "WHAT", "CHUNK", "FAILURES", "GAVE UP")
	for _, g := range folded(dead) {
		d, failed := g.last, ""
		if d.FinishedAt != nil {
			failed = age(now, *d.FinishedAt) + " ago"
		}
		t.Row(g.tasks(), taskWhat(d), g.chunks(), failuresText(d), failed)
		if d.Error != nil {
			t.Note(terminal.Cell{Text: abridged(*d.Error), Tone: terminal.Bad})
		}
	}
	return t
}

// failuresText is how often a task failed, of how often it may, and how often its holder fell silent.
func failuresText(t *api.Task) string {
	text := fmt.Sprintf("%d/%d", t.Attempts, t.MaxAttempts)
	if t.Losses > 0 {
		text += fmt.Sprintf(" +%d lost", t.Losses)
	}
	return text
}

// jobRow is a Job and its pod.
type jobRow struct {
	Role    string    `json:"role"`
	Job     string    `json:"job"`
	State   string    `json:"state"`
	Pod     string    `json:"pod,omitempty"`
	Phase   string    `json:"phase,omitempty"`
	Node    string    `json:"node,omitempty"`
	Waiting string    `json:"waiting,omitempty"`
	Created time.Time `json:"created"`
}

func jobRows(jobs []batchv1.Job, pods []corev1.Pod) []jobRow {
	rows := []jobRow{}
	for i := range jobs {
		j := &jobs[i]
		row := jobRow{Role: j.Labels[mrev1.LabelRole], Job: j.Name, State: jobState(j), Created: j.CreationTimestamp.Time}
		found := false
		for k := range pods {
			if pods[k].Labels[batchv1.JobNameLabel] == j.Name {
				with := row
				with.Pod, with.Phase, with.Node, with.Waiting = pods[k].Name,
					string(pods[k].Status.Phase), pods[k].Spec.NodeName, podWaits(&pods[k])
				rows, found = append(rows, with), true
			}
		}
		if !found {
			rows = append(rows, row)
		}
	}
	order := []string{"ingest", "worker", "render"}
	slices.SortStableFunc(rows, func(a, b jobRow) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Role), slices.Index(order, b.Role)),
			strings.Compare(a.Job, b.Job), strings.Compare(a.Pod, b.Pod))
	})
	return rows
}

func jobState(j *batchv1.Job) string {
	for _, c := range j.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed) {
			return string(c.Type)
		}
	}
	if !j.DeletionTimestamp.IsZero() {
		return "Deleting"
	}
	if value(j.Spec.Suspend) {
		return "Suspended"
	}
	return "Active"
}

// podWaits says why a pod does not run, or how it ended.
func podWaits(pod *corev1.Pod) string {
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if w := s.State.Waiting; w != nil && w.Reason != "" {
			return joined(w.Reason, w.Message)
		}
		if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
			return fmt.Sprintf("%s (exit %d)", t.Reason, t.ExitCode)
		}
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return joined(c.Reason, c.Message)
		}
	}
	return pod.Status.Reason
}

func jobTable(rows []jobRow, now time.Time) *terminal.Table {
	t := terminal.NewTable("ROLE", "JOB", "STATE", "POD", "PHASE", "NODE", "AGE")
	for _, r := range rows {
		state := terminal.Cell{Text: r.State}
		if r.State == string(batchv1.JobFailed) {
			state.Tone = terminal.Bad
		}
		t.Row(r.Role, r.Job, state, r.Pod, r.Phase, r.Node, age(now, r.Created))
		if r.Waiting != "" {
			t.Note(terminal.Cell{Text: r.Waiting, Tone: terminal.Busy})
		}
	}
	return t
}
