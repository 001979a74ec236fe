// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

const (
	// lookEvery is how often the state is read while the bars move.
	lookEvery = time.Second
	// restFactor keeps a watcher of a long Event from being a burden: it rests this many times as long as a look took.
	restFactor = 4
	// blind is how long a watcher that cannot see goes on trying.
	blind = 2 * time.Minute
)

func (p *program) watchCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "watch EVENT",
		Short: "Follow an Event with progress bars until it has ended",
		Long: p.text(`
			Follow an Event: a bar for each stage of its pipeline, and how long after its close the last chunk was
			segmented and its clips were rendered. Without a terminal it writes lines instead.

			It ends when the Event is Complete and its Replays are rendered, with exit code 0; or, with 1, when the Event or a
			Replay of it failed, or clips or segments are missing.`),
		Example: p.examples(`
			# Look on
			{mre} watch final

			# In a script: go on when all is there
			{mre} watch final > progress.log && {mre} download final`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.eventNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return p.watch(cmd.Context(), args[0]) },
	}
}

// watched is what a watcher knows.
type watched struct {
	event   *mrev1.Event
	replays []mrev1.Replay
	// state is nil until the data plane knows the Event; the rows belong to its version.
	state     *api.EventState
	stages    []stage
	latencies []latency
	timeline  string
	// trouble is why the last look failed.
	trouble string
}

func (p *program) watch(ctx context.Context, name string) error {
	s, event, err := p.openEvent(ctx, name)
	if err != nil {
		return err
	}
	w := &watched{event: event}
	view := terminal.NewView(p.Streams.Out)
	defer view.Stop()
	for seen := time.Now(); ; {
		began := time.Now()
		switch err := s.look(ctx, w); {
		case err == nil:
			seen, w.trouble = began, ""
		case ctx.Err() != nil:
			return ctx.Err()
		case !passing(err) || time.Since(seen) > blind:
			return err
		default:
			w.trouble = err.Error()
		}
		problem, ended := w.outcome()
		view.Show([]terminal.Section{w.section(ended)})
		if ended {
			if problem != "" {
				return errors.New(problem)
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(lookEvery, restFactor*time.Since(began))):
		}
	}
}

// passing says whether looking again may help.
func passing(err error) bool {
	if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return false
	}
	if _, refused := errors.AsType[*dpclient.Error](err); refused {
		return dpclient.Temporary(err)
	}
	return true
}

// look reads what has changed.
func (s *session) look(ctx context.Context, w *watched) error {
	event, err := s.event(ctx, w.event.Name)
	if err != nil {
		return err
	}
	if event.UID != w.event.UID {
		return fmt.Errorf("event %s was deleted, and another one made under its name", event.Name)
	}
	w.event = event
	if w.replays, err = s.replays(ctx, event); err != nil {
		return err
	}
	uid := string(event.UID)
	state, err := s.DataPlane.Event(ctx, uid)
	if notStarted(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if w.state != nil && w.state.Version == state.Version {
		w.state = &state
		return nil
	}
	tasks, err := s.DataPlane.Tasks(ctx, uid)
	if err != nil {
		return err
	}
	chunks, err := s.DataPlane.Chunks(ctx, uid)
	if err != nil {
		return err
	}
	segments, err := s.DataPlane.Segments(ctx, uid)
	if err != nil {
		return err
	}
	clips, err := s.DataPlane.Clips(ctx, uid)
	if err != nil {
		return err
	}
	w.state = &state
	w.stages = stagesOf(state, tasks, false)
	w.latencies = latencyOf(chunks, tasks, segments, clips)
	w.timeline = clock{}.micros(state.Progress.TimelineMicros)
	return nil
}

// outcome tells whether all has come to its end, and what went wrong.
func (w *watched) outcome() (problem string, ended bool) {
	state := stateOf(w.event)
	switch state.word {
	case "Failed":
		return fmt.Sprintf("Event %s failed: %s", w.event.Name, joined(state.reason, state.message)), true
	case "Complete":
	default:
		return "", false
	}
	ended = true
	if lost := outputsLost(w.event); lost != "" {
		problem = fmt.Sprintf("Event %s is complete, but not whole. %s", w.event.Name, lost)
	}
	for i := range w.replays {
		why, done := replayEnd(&w.replays[i])
		ended = ended && done
		if why != "" {
			problem = why
		}
	}
	return problem, ended
}

// section is the picture.
func (w *watched) section(ended bool) terminal.Section {
	state := stateOf(w.event)
	s := terminal.Section{Title: fmt.Sprintf("%s/%s  %s", w.event.Namespace, w.event.Name, state.word), Ended: ended}
	for i, st := range w.stages {
		bar := st.bar()
		if i == 0 && w.timeline != "" {
			bar.Note = w.timeline
		}
		s.Bars = append(s.Bars, bar)
	}
	for _, l := range w.latencies {
		s.Lines = append(s.Lines, terminal.Cell{Text: l.String(), Tone: terminal.Faint})
	}
	if !state.ended() && state.word != "Running" || state.reason == mrev1.ReasonCompletedWithFailures {
		s.Lines = append(s.Lines, terminal.Cell{Text: joined(state.reason, state.message), Tone: state.tone})
	}
	if w.state != nil && w.state.Suspended && !state.ended() {
		s.Lines = append(s.Lines, terminal.Cell{Text: "suspended: no task is handed out", Tone: terminal.Busy})
	}
	if w.state != nil && w.state.DeadLetters > 0 {
		s.Lines = append(s.Lines, terminal.Cell{Text: fmt.Sprintf("%s: see kubectl mre status %s",
			many(int(w.state.DeadLetters), "dead letter"), w.event.Name), Tone: terminal.Bad})
	}
	if state.word == "Complete" && !ended {
		for _, text := range reels(w.replays) {
			s.Lines = append(s.Lines, terminal.Cell{Text: text, Tone: terminal.Busy})
		}
	}
	if w.trouble != "" {
		s.Lines = append(s.Lines, terminal.Cell{Text: "not seen at the moment: " + w.trouble, Tone: terminal.Bad})
	}
	return s
}
