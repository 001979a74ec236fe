// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func (p *program) statusCommand() *cobra.Command {
	var output outputFlag
	var everywhere bool
	cmd := &cobra.Command{
		Use:   "status [EVENT]",
		Short: "Show Events, or one in detail",
		Long: p.text(`
			Show Events in a table, or one Event in detail: its conditions, the stages of its pipeline, its Jobs and their
			pods, its Replays, its dead letters with their errors, and what it waits for.

			The table needs no more than the right to read Events and Replays. The detail also asks the data plane.`),
		Example: p.examples(`
			# Every Event of the namespace
			{mre} status

			# Every Event of the cluster
			{mre} status -A

			# Why does this one not go on?
			{mre} status final

			# How many chunks does it have?
			{mre} status final -o json | jq .state.progress.chunksIngested`),
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: p.eventNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return p.listEvents(cmd.Context(), output, everywhere)
			}
			if everywhere {
				return exitError{errors.New("--all-namespaces is for the table: one Event is in one namespace, see -n"), exitUsage}
			}
			return p.showEvent(cmd.Context(), output, args[0])
		},
	}
	cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "Show the Events of all namespaces.")
	output.add(cmd, "json", "yaml", "wide")
	return cmd
}

// eventRow is an Event in the table.
type eventRow struct {
	Namespace string               `json:"namespace"`
	Name      string               `json:"name"`
	State     string               `json:"state"`
	Reason    string               `json:"reason,omitempty"`
	Message   string               `json:"message,omitempty"`
	Progress  *mrev1.EventProgress `json:"progress,omitempty"`
	Created   time.Time            `json:"created"`
	// Replays that are rendered, of all.
	ReplaysRendered int `json:"replaysRendered"`
	Replays         int `json:"replays"`

	state eventState
}

func rowsOf(events []mrev1.Event, replays []mrev1.Replay) []eventRow {
	rows := make([]eventRow, 0, len(events))
	for i := range events {
		e := &events[i]
		s := stateOf(e)
		row := eventRow{
			Namespace: e.Namespace, Name: e.Name, State: s.word, Reason: s.reason, Message: s.message,
			Progress: e.Status.Progress, Created: e.CreationTimestamp.Time, state: s,
		}
		for _, r := range replaysOf(replays, e) {
			row.Replays++
			if problem, ended := replayEnd(&r); ended && problem == "" {
				row.ReplaysRendered++
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func (p *program) listEvents(ctx context.Context, output outputFlag, everywhere bool) error {
	s, err := p.open()
	if err != nil {
		return err
	}
	namespace := s.namespace
	if everywhere {
		namespace = ""
	}
	events, err := s.events(ctx, namespace)
	if err != nil {
		return err
	}
	replays, err := s.allReplays(ctx, namespace)
	if err != nil {
		return err
	}
	rows := rowsOf(events, replays)
	if output.machine() {
		return p.print(output, items(rows))
	}
	if len(rows) == 0 {
		where := "namespace " + namespace
		if everywhere {
			where = "the cluster"
		}
		fmt.Fprintf(p.Streams.ErrOut, "There are no Events in %s.\n", where)
		return nil
	}
	g := p.page()
	g.table(eventTable(rows, time.Now(), everywhere, output.format == "wide"))
	return g.err
}

// eventView is all that is known of an Event.
type eventView struct {
	Event       mrev1.Event     `json:"event"`
	Replays     []mrev1.Replay  `json:"replays"`
	State       *api.EventState `json:"state,omitempty"`
	Stages      []stage         `json:"stages"`
	Jobs        []jobRow        `json:"jobs"`
	DeadLetters []api.Task      `json:"deadLetters"`
	WaitsFor    []string        `json:"waitsFor"`

	tasks []api.Task
	// oldest is the first chunk with a task that waits for others.
	oldest *api.ChunkDetail
}

func (p *program) showEvent(ctx context.Context, output outputFlag, name string) error {
	s, event, err := p.openEvent(ctx, name)
	if err != nil {
		return err
	}
	v := &eventView{Event: *event, Replays: []mrev1.Replay{}, Stages: []stage{}, DeadLetters: []api.Task{}}
	clusterErr := s.readObjects(ctx, v)
	planeErr := s.readRows(ctx, v)
	v.WaitsFor = append([]string{}, waitsFor(v, time.Now())...)
	if output.machine() {
		err = p.print(output, v)
	} else {
		g := p.page()
		g.event(v, time.Now())
		err = g.err
	}
	// What could be read was shown; that it is not all must not go unnoticed.
	return errors.Join(err, clusterErr, planeErr)
}

// readObjects reads the Replays, Jobs and pods of the Event.
func (s *session) readObjects(ctx context.Context, v *eventView) error {
	replays, err := s.replays(ctx, &v.Event)
	v.Replays = append(v.Replays, replays...)
	var jobs batchv1.JobList
	var pods corev1.PodList
	mine := []client.ListOption{client.InNamespace(v.Event.Namespace),
		client.MatchingLabels{mrev1.LabelEventUID: string(v.Event.UID)}}
	if e := s.Objects.List(ctx, &jobs, mine...); e != nil {
		err = errors.Join(err, fmt.Errorf("list the Jobs of Event %s: %w", v.Event.Name, e))
	}
	if e := s.Objects.List(ctx, &pods, mine...); e != nil {
		err = errors.Join(err, fmt.Errorf("list the pods of Event %s: %w", v.Event.Name, e))
	}
	v.Jobs = jobRows(jobs.Items, pods.Items)
	return err
}

// readRows reads what the data plane knows; an Event that has not started is not known there.
func (s *session) readRows(ctx context.Context, v *eventView) error {
	uid := string(v.Event.UID)
	state, err := s.DataPlane.Event(ctx, uid)
	if notStarted(err) && !stateOf(&v.Event).ended() {
		return nil
	}
	if err != nil {
		return err
	}
	v.State = &state
	if v.tasks, err = s.DataPlane.Tasks(ctx, uid); err != nil {
		return err
	}
	v.Stages = stagesOf(state, v.tasks, true)
	v.DeadLetters = append(v.DeadLetters, deadLetters(v.tasks)...)
	if chunk, found := oldestBlocked(v.tasks); found {
		detail, err := s.DataPlane.ExplainChunk(ctx, uid, chunk)
		if notStarted(err) {
			return nil // the chunk is being closed
		}
		v.oldest = &detail
		return err
	}
	return nil
}
