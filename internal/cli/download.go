// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/terminal"
)

const (
	// atOnce is how many files are fetched at a time.
	atOnce = 4
	// drawEvery is how often the bars of a download move.
	drawEvery = 200 * time.Millisecond
)

func (p *program) downloadCommand() *cobra.Command {
	var dir string
	var want selection
	cmd := &cobra.Command{
		Use:   "download EVENT",
		Short: "Fetch the clips, reels and exports of an Event",
		Long: p.text(`
			Fetch the clips with their thumbnails, the reels of the Replays, and the exports of an Event: all of them, or
			the kinds that are named. The names of clips sort by time.

			A file that is there whole is not fetched again, and a download that was cut off goes on where it ended. A
			file has its name only once it is whole.`),
		Example: p.examples(`
			# Everything, into the folder final
			{mre} download final

			# The reels
			{mre} download final --reels -d ~/Videos

			# The clips of one segment
			{mre} download final --segment 000007-0`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.eventNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dir == "" {
				dir = args[0]
			}
			return p.download(cmd.Context(), args[0], dir, want)
		},
	}
	cmd.Flags().StringVarP(&dir, "directory", "d", "", "Folder to write to; one with the Event's name when not set.")
	cmd.Flags().BoolVar(&want.clips, "clips", false, "Fetch the clips and their thumbnails.")
	cmd.Flags().BoolVar(&want.reels, "reels", false, "Fetch the reels.")
	cmd.Flags().BoolVar(&want.exports, "exports", false, "Fetch the exports.")
	cmd.Flags().StringVar(&want.segment, "segment", "", "Fetch the clips of this segment only.")
	_ = cmd.MarkFlagDirname("directory") // the flag exists
	return cmd
}

func (p *program) download(ctx context.Context, name, dir string, want selection) error {
	s, event, err := p.openEvent(ctx, name)
	if err != nil {
		return err
	}
	made, err := s.readOutputs(ctx, event)
	if err != nil {
		return err
	}
	files, err := want.files(made)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("event %s has nothing of that yet: it is %s, see '%s status %s'",
			event.Name, stateOf(event).word, p.Name, event.Name)
	}
	return p.fetch(ctx, s, string(event.UID), dir, files)
}

// readOutputs reads the rows of all that was made.
func (s *session) readOutputs(ctx context.Context, event *mrev1.Event) (made outputs, err error) {
	uid := string(event.UID)
	if made.state, err = s.DataPlane.Event(ctx, uid); err != nil {
		return made, err
	}
	if made.segments, err = s.DataPlane.Segments(ctx, uid); err != nil {
		return made, err
	}
	if made.clips, err = s.DataPlane.Clips(ctx, uid); err != nil {
		return made, err
	}
	replays, err := s.replays(ctx, event)
	if err != nil {
		return made, err
	}
	for i := range replays {
		state, err := s.DataPlane.Replay(ctx, string(replays[i].UID))
		if notStarted(err) {
			continue
		}
		if err != nil {
			return made, err
		}
		made.reels = append(made.reels, namedReplay{replays[i].Name, state})
	}
	return made, nil
}

// transfer is the state of a download of many files.
type transfer struct {
	files []file
	// bytes and done are by file.
	bytes []atomic.Int64
	done  []atomic.Bool

	mu      sync.Mutex
	present int
	errs    []error
}

func (p *program) fetch(ctx context.Context, s *session, uid, dir string, files []file) error {
	for _, f := range files {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(f.name)), 0o755); err != nil {
			return fmt.Errorf("make the folder of the downloads: %w", err)
		}
	}
	t := &transfer{files: files, bytes: make([]atomic.Int64, len(files)), done: make([]atomic.Bool, len(files))}
	view := terminal.NewView(p.Streams.ErrOut)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t.run(ctx, clusterclient.Downloader{HTTP: s.Web, DataPlane: s.DataPlane, Patience: patience}, uid, dir)
	}()
	ticks := time.NewTicker(drawEvery)
	defer ticks.Stop()
	for running := true; running; {
		select {
		case <-ended:
			running = false
		case <-ticks.C:
		}
		view.Show([]terminal.Section{t.section(!running)})
	}
	view.Stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	fetched, bytes := 0, int64(0)
	for i := range files {
		if t.done[i].Load() {
			fetched++
			bytes += t.bytes[i].Load()
		}
	}
	summary := fmt.Sprintf("%d of %d files, %s, in %s", fetched, len(files), size(bytes), dir)
	if t.present > 0 {
		summary += fmt.Sprintf(" (%d were there)", t.present)
	}
	fmt.Fprintln(p.Streams.Out, summary)
	return errors.Join(t.errs...)
}

// run fetches some files at a time. What fails does not hold up the others.
func (t *transfer) run(ctx context.Context, d clusterclient.Downloader, uid, dir string) {
	var workers sync.WaitGroup
	next := make(chan int)
	for range min(atOnce, len(t.files)) {
		workers.Go(func() {
			for i := range next {
				f := t.files[i]
				present, err := d.Get(ctx, clusterclient.Download{
					UID: uid, Location: f.location, Path: filepath.Join(dir, f.name), Size: f.size, Progress: t.bytes[i].Store,
				})
				t.note(i, present, err)
			}
		})
	}
	for i := range t.files {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
}

func (t *transfer) note(i int, present bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.errs = append(t.errs, err)
		return
	}
	t.done[i].Store(true)
	if present {
		t.present++
	}
}

// section has a bar for each kind of file.
func (t *transfer) section(ended bool) terminal.Section {
	s := terminal.Section{Ended: ended}
	for _, kind := range fileKinds {
		var done, all int
		bar := terminal.Bar{Name: kind, Format: size}
		for i := range t.files {
			if t.files[i].kind != kind {
				continue
			}
			all++
			bytes := t.bytes[i].Load()
			bar.Done += bytes
			bar.Of += max(t.files[i].size, bytes)
			if t.done[i].Load() {
				done++
			}
		}
		if all > 0 {
			bar.Note = fmt.Sprintf("%d of %d files", done, all)
			s.Bars = append(s.Bars, bar)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, err := range slices.Backward(t.errs[max(0, len(t.errs)-3):]) {
		s.Lines = append(s.Lines, terminal.Cell{Text: err.Error(), Tone: terminal.Bad})
	}
	return s
}
