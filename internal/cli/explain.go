// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

func (p *program) explainCommand() *cobra.Command {
	var output outputFlag
	cmd := &cobra.Command{
		Use:   "explain [chunk] EVENT NUMBER",
		Short: "Explain a chunk: its units, its tasks, every try and what holds it back",
		Long: p.text(`
			Explain a chunk of an Event: the units that it is made of, and every task with its state, its tries, who held
			it and the error of each try that failed, what was moved, cut or left out of its results, and what a blocked
			task waits for.`),
		Example: p.examples(`
			# Why is chunk 12 not processed?
			{mre} explain final 12

			# The same
			{mre} explain chunk final 12`),
		Args:              cobra.RangeArgs(2, 3),
		ValidArgsFunction: p.eventNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			name, number, err := chunkArgs(args)
			if err != nil {
				return exitError{err, exitUsage}
			}
			ctx := cmd.Context()
			s, event, err := p.openEvent(ctx, name)
			if err != nil {
				return err
			}
			detail, err := s.DataPlane.ExplainChunk(ctx, string(event.UID), number)
			if err != nil {
				return err
			}
			if output.machine() {
				return p.print(output, detail)
			}
			state, err := s.DataPlane.Event(ctx, string(event.UID))
			if err != nil {
				return err
			}
			g := p.page()
			g.chunk(detail, clockOf(state.Timeline), time.Now())
			return g.err
		},
	}
	output.add(cmd, "json", "yaml")
	return cmd
}

// chunkArgs takes EVENT NUMBER, with or without the word chunk before them.
func chunkArgs(args []string) (event string, number int64, err error) {
	if len(args) == 3 {
		if args[0] != "chunk" {
			return "", 0, fmt.Errorf("%q cannot be explained: write explain chunk EVENT NUMBER", args[0])
		}
		args = args[1:]
	}
	number, err = strconv.ParseInt(args[1], 10, 64)
	if err != nil || number < 0 {
		return "", 0, fmt.Errorf("%q is not the number of a chunk", args[1])
	}
	return args[0], number, nil
}

// chunk writes all that is known of a chunk.
func (g *page) chunk(d api.ChunkDetail, c clock, now time.Time) {
	x := d.Chunk.Extent
	g.block(fmt.Sprintf("Chunk %d", x.Number))
	state := terminal.Cell{Text: string(d.Chunk.State)}
	switch {
	case d.Chunk.State == api.ChunkStateMissing:
		state.Tone = terminal.Bad
	case d.Chunk.Processed && d.Chunk.FailedTasks == 0:
		state.Text, state.Tone = state.Text+", processed", terminal.Good
	case d.Chunk.Processed:
		state.Text, state.Tone = fmt.Sprintf("%s, processed, %s failed", state.Text,
			many(int(d.Chunk.FailedTasks), "task")), terminal.Bad
	}
	if d.Chunk.Late {
		state.Text += ", came after it had been declared missing"
	}
	g.fact("state", state)
	g.fact("extent", terminal.Cell{Text: fmt.Sprintf("%s to %s, %d frames",
		c.at(api.Mark{Frame: x.FirstFrame, Micros: x.StartMicros}),
		c.at(api.Mark{Frame: x.FirstFrame + x.Frames, Micros: x.EndMicros}), x.Frames)})
	if d.Chunk.ClosedAt != nil {
		g.fact("closed", terminal.Cell{Text: fmt.Sprintf("%s (%s ago)",
			d.Chunk.ClosedAt.Local().Format(time.DateTime), age(now, *d.Chunk.ClosedAt))})
	}
	g.block("Tasks")
	g.tableOr(taskTable(d.Tasks, now), "none")
	g.block("Units")
	g.tableOr(unitTable(d.Units, c), "none")
}

func taskTable(tasks []api.TaskDetail, now time.Time) *terminal.Table {
	t := terminal.NewTable("TASK", "WHAT", "STATE", "FAILURES", "WAITED", "TOOK", "HOLDER")
	for i := range tasks {
		d := &tasks[i]
		task := &d.Task
		t.Row(task.ID, taskWhat(task), taskState(task), failuresText(task),
			between(task.ReadyAt, task.LeasedAt, now, task.State == api.TaskStateReady),
			between(task.LeasedAt, task.FinishedAt, now, task.State == api.TaskStateLeased), value(task.Holder))
		for _, try := range d.Tries {
			text := fmt.Sprintf("try %d, %s, held by %s for %s", try.Attempt, try.Outcome,
				try.Holder, took(try.EndedAt.Sub(try.LeasedAt)))
			if try.Error != nil {
				text += ": " + *try.Error
			}
			tone := terminal.Bad
			if try.Outcome == api.TryOutcomeReleased {
				tone = terminal.Faint
			}
			t.Note(terminal.Cell{Text: text, Tone: tone})
		}
		for _, n := range d.Notes {
			t.Note(terminal.Cell{Text: "note: " + n, Tone: terminal.Plain})
		}
		if task.State == api.TaskStateReady && task.DueAt != nil && task.DueAt.After(now) {
			t.Note(terminal.Cell{Text: "tried again in " + took(task.DueAt.Sub(now)), Tone: terminal.Busy})
		}
		for _, w := range d.WaitsFor {
			t.Note(terminal.Cell{Text: "waits for " + w, Tone: terminal.Busy})
		}
	}
	return t
}

func taskState(t *api.Task) terminal.Cell {
	c := terminal.Cell{Text: string(t.State)}
	switch t.State {
	case api.TaskStateDone:
		c.Tone = terminal.Good
	case api.TaskStateFailed:
		c.Tone = terminal.Bad
	case api.TaskStateSkipped:
		c.Tone = terminal.Faint
	default:
		c.Tone = terminal.Busy
	}
	return c
}

// between is how long something took, or takes since.
func between(from, to *time.Time, now time.Time, still bool) string {
	switch {
	case from == nil:
		return ""
	case still:
		return took(now.Sub(*from))
	case to == nil || to.Before(*from):
		return ""
	}
	return took(to.Sub(*from))
}

func unitTable(units []api.Unit, c clock) *terminal.Table {
	t := terminal.NewTable("EPOCH", "START", "FRAMES", "SIZE", "KEY")
	for i := range units {
		u := &units[i]
		t.Row(u.Epoch, c.at(api.Mark{Frame: u.FirstFrame, Micros: u.StartMicros}), u.Frames, size(u.Bytes), u.Key)
	}
	return t
}
