// SPDX-License-Identifier: Apache-2.0

// Package testkit runs a plugin against the contract, without a cluster: it cuts a recording into chunks, plays the
// agent, and says in words what is wrong.
package testkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// Options of a test.
type Options struct {
	// Command starts the plugin; or the reference of one image.
	Command []string
	// ContainerCommand and ContainerArgs are the Plugin's, for an image.
	ContainerCommand, ContainerArgs []string
	// Dir is the command's working folder; the caller's when empty.
	Dir string
	// Exec is the protocol Exec.
	Exec bool
	// Media is a recording.
	Media  string
	Plugin api.PlanPlugin
	// Track is the audio track of an Audio plugin; 0 is the first.
	Track        int32
	ChunkSeconds int
	// Chunks is how many of the recording's first chunks are run.
	Chunks int
	// StartTimeout and Timeout bound the start and one run.
	StartTimeout, Timeout time.Duration
	// Detections are what the plugins found that this one depends on; made up where there are none. A plugin is named as
	// here or as in MRE.
	Detections map[string][]Detection
	// MRENames are the names in MRE of the plugins that this one depends on, where they have one.
	MRENames map[string]string
	// Log takes what the plugin writes to its standard error.
	Log io.Writer

	mediaDir string
}

// stopTime is how long a plugin may take to end when it is told to: what its supervisor gives it.
const stopTime = 3 * time.Second

// kit is one test.
type kit struct {
	o      Options
	host   *host
	tasks  *tasks
	plane  *plane
	report Report
	// first is the output of the first chunk.
	first *api.TaskOutput
}

// Run tests a plugin. Its error is of the test itself, such as a recording that cannot be read.
func Run(ctx context.Context, o Options) (*Report, error) {
	report, _, err := runAndKeep(ctx, o)
	return report, err
}

// runAndKeep is Run with what the plugin found.
func runAndKeep(ctx context.Context, o Options) (*Report, []api.StoredResult, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	dir, err := os.MkdirTemp("", "mre-plugin-test-")
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	plan := newPlan(o)
	o.Detections = namedHere(plan, o.Detections)
	c, err := cut(ctx, o.Media, dir, plan, o.Chunks)
	if err != nil {
		return nil, nil, err
	}
	if o.Track, err = trackOf(o, c); err != nil {
		return nil, nil, err
	}
	if names := unknown(o.Detections, o.Plugin); len(names) > 0 {
		return nil, nil, fmt.Errorf("there are detections of %s, on which the plugin does not depend: name it "+
			"in spec.dependsOn", strings.Join(names, ", "))
	}
	o.mediaDir = filepath.Join(dir, "media")
	k := &kit{o: o, plane: &plane{variables: map[string]any{}, segments: []api.Segment{}, results: []api.StoredResult{}}}
	k.tasks = newTasks(plan, c, o.Track, o.Detections)
	for _, one := range c.chunks {
		k.plane.chunks = append(k.plane.chunks,
			api.Chunk{Extent: one.extent, State: api.ChunkStateClosed, Units: 1, Processed: true})
	}
	if k.host, err = listen(ctx, o, plan, k.plane); err != nil {
		return nil, nil, err
	}
	defer k.host.kill()
	if err := k.check(ctx); err != nil {
		return nil, nil, err
	}
	return &k.report, k.plane.results, nil
}

func trackOf(o Options, c *clip) (int32, error) {
	tracks := c.timeline.AudioTracks
	switch {
	case o.Plugin.MediaType != api.PlanPluginMediaTypeAudio:
		return 0, nil
	case len(tracks) == 0:
		return 0, fmt.Errorf("%s has no audio, and the plugin's mediaType is Audio: test it with a recording that has",
			o.Media)
	case o.Track == 0:
		return tracks[0].Track, nil
	case int(o.Track) > len(tracks):
		return 0, fmt.Errorf("%s has %d audio tracks, and track %d was asked for", o.Media, len(tracks), o.Track)
	}
	return o.Track, nil
}

// check goes through the contract. Its error is that of the test, or the order to stop.
func (k *kit) check(ctx context.Context) error {
	files, err := snapshot(k.folders())
	if err != nil {
		return err
	}
	took, err := k.host.start(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		k.report.fail("start", "run the command by hand and see what it says; what it needs to load may take "+
			"startTimeoutSeconds", "%v", err)
		return nil
	}
	if k.o.Exec {
		k.report.skip("start", "with protocol Exec the command is started for each run")
	} else {
		k.report.pass("start", "it asks for work after %.2f s", took.Seconds())
	}
	outputs, err := k.chunks(ctx)
	if err != nil {
		return err
	}
	if k.first != nil {
		k.inside(outputs)
		k.declared(outputs)
	}
	for _, step := range []func(context.Context) error{k.repeat, k.withoutMedia, k.unknownKeys, k.broken} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	k.stop(ctx)
	return k.wrote(files)
}

// output is what a run put out on a chunk.
type output struct {
	chunk  api.ChunkExtent
	final  bool
	result api.TaskOutput
	// broken is the segmenter's rule that it breaks.
	broken error
}

// one runs the plugin once and reads its answer.
func (k *kit) one(ctx context.Context, c chunk, withMedia, final bool,
	change func([]byte) []byte) (*invocation.Result, error) {
	run, err := k.tasks.of(c, withMedia, final)
	if err != nil {
		return nil, err
	}
	answer, err := k.host.invoke(ctx, run, k.o.Timeout, change)
	if err != nil {
		return nil, err
	}
	got, err := run.Output(answer, func() ([]api.Segment, error) { return k.tasks.segments.list, nil })
	if err != nil {
		return nil, &badFormError{err}
	}
	got.Output.Token = ""
	return &got, nil
}

// badFormError is an answer that cannot be read.
type badFormError struct{ error }

// chunks runs the plugin over the recording.
func (k *kit) chunks(ctx context.Context) ([]output, error) {
	var out []output
	var times []string
	var slowest time.Duration
	list := k.tasks.clip.chunks
	steps := len(list)
	if k.o.Plugin.Class == api.PlanPluginClassSegmenter {
		steps++ // the last run, after the source has ended
	}
	for i := range steps {
		c, final := list[min(i, len(list)-1)], i == len(list)
		began := time.Now()
		got, err := k.one(ctx, c, true, final, nil)
		took := time.Since(began)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			where := fmt.Sprintf("chunk %d: ", c.extent.Number)
			if final {
				where = "the last run, after the source has ended: "
			}
			k.answerFailed("answer", where, err)
			return out, nil
		}
		slowest = max(slowest, took)
		times = append(times, fmt.Sprintf("%.2f", took.Seconds()))
		for _, n := range got.Notes {
			k.report.Notes = append(k.report.Notes, fmt.Sprintf("chunk %d: %s", c.extent.Number, n))
		}
		o := output{chunk: c.extent, final: final, result: got.Output}
		o.broken = k.tasks.segments.apply(c.extent, got.Output.Segments)
		k.plane.publish(k.o.Plugin.Name, k.o.Track, c.extent, got.Output, k.tasks.segments.list, k.tasks.mark)
		out = append(out, o)
		if k.first == nil {
			k.first = &out[0].result
		}
		if o.broken != nil {
			break
		}
	}
	k.report.pass("answer", "%d runs in %s s", len(times), strings.Join(times, ", "))
	k.report.pass("time", "the slowest run took %.2f s of %s", slowest.Seconds(), k.o.Timeout)
	if k.host.lives > 1 {
		k.report.fail("warm", "ask for work again after an answer, instead of ending",
			"the process ended %d times between runs: each start costs the time to load", k.host.lives-1)
	} else if !k.o.Exec {
		k.report.pass("warm", "one process took all runs")
	}
	return out, nil
}

func (k *kit) answerFailed(name, where string, err error) {
	remedy := "the plugin says why above, or in what it wrote to standard error"
	var form *badFormError
	var late *timedOutError
	switch {
	case errors.As(err, &form):
		remedy = "answer what the package for plugins makes, or MRE's output object"
	case errors.As(err, &late):
		remedy = "make it faster, or raise spec.policy.timeoutSeconds and --timeout"
	}
	k.report.fail(name, remedy, "%s%v", where, err)
}

// inside looks at the times of what was found.
func (k *kit) inside(outputs []output) {
	name := map[api.PlanPluginClass]string{
		api.PlanPluginClassFeaturer: "results", api.PlanPluginClassSegmenter: "segments",
		api.PlanPluginClassOptimizer: "marks", api.PlanPluginClassLabeler: "labels",
	}[k.o.Plugin.Class]
	frame := 1_000_000 * k.tasks.clip.timeline.Rate.Den / k.tasks.clip.timeline.Rate.Num
	count := 0
	for _, o := range outputs {
		if o.broken != nil {
			k.report.fail(name, "segments come by time, do not overlap, start before the chunk's end, and one at most is open",
				"chunk %d: %v", o.chunk.Number, o.broken)
			return
		}
		for i, r := range o.result.Results {
			if r.StartMicros < o.chunk.StartMicros-frame || r.StartMicros >= o.chunk.EndMicros ||
				r.EndMicros > o.chunk.EndMicros+frame {
				k.report.fail(name, "times count from the start of the Event, not of the chunk: add the chunk's start",
					"chunk %d, from %s to %s: result %d is from %s to %s", o.chunk.Number, seconds(o.chunk.StartMicros),
					seconds(o.chunk.EndMicros), i+1, seconds(r.StartMicros), seconds(r.EndMicros))
				return
			}
		}
		count += len(o.result.Results) + len(o.result.Segments) + len(o.result.Optimized) + len(o.result.Labels)
	}
	switch {
	case count > 0:
		k.report.pass(name, "%d, all where they may be", count)
	case k.o.Plugin.Class == api.PlanPluginClassFeaturer || k.o.Plugin.Class == api.PlanPluginClassSegmenter:
		k.report.skip(name, "it found nothing: try a recording in which there is something, or other settings")
	default:
		k.report.fail(name, "answer for each segment of the input", "it answered nothing for %d segments", 2*len(outputs))
	}
}

// declared looks at the names of attributes.
func (k *kit) declared(outputs []output) {
	seen := map[string]bool{}
	for _, o := range outputs {
		for _, r := range o.result.Results {
			note(seen, r.Attributes)
		}
		for _, s := range o.result.Segments {
			note(seen, s.Attributes)
		}
		for _, l := range o.result.Labels {
			note(seen, l.Attributes)
		}
	}
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if !slices.Contains(k.o.Plugin.Outputs, name) {
			missing = append(missing, name)
		}
	}
	switch {
	case len(seen) == 0:
		k.report.skip("outputs", "nothing that it answered has attributes")
	case len(missing) == 0:
		k.report.pass("outputs", "all attributes are declared: %s", strings.Join(slices.Sorted(maps.Keys(seen)), ", "))
	case len(k.o.Plugin.Outputs) == 0:
		k.report.skip("outputs", "it puts out %s; name them in spec.outputs, and test with --plugin",
			strings.Join(missing, ", "))
	default:
		// They are kept all the same.
		k.report.advise("outputs", "name them in spec.outputs, so that Replays and templates can",
			"it puts out %s, undeclared", strings.Join(missing, ", "))
	}
}

func note(seen map[string]bool, attributes map[string]any) {
	for name := range attributes {
		seen[name] = true
	}
}

// again runs the first chunk once more, from where the first run began.
func (k *kit) again(ctx context.Context, withMedia bool, change func([]byte) []byte) (*invocation.Result, error) {
	now := k.tasks.segments.list
	k.tasks.segments.list = nil
	defer func() { k.tasks.segments.list = now }()
	return k.one(ctx, k.tasks.clip.chunks[0], withMedia, false, change)
}

// repeat wants the same for the same: a run may be repeated at any time.
func (k *kit) repeat(ctx context.Context) error {
	if k.first == nil {
		k.report.skip("repeat", "there is no answer to compare with")
		return nil
	}
	got, err := k.again(ctx, true, nil)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		k.answerFailed("repeat", "the first chunk a second time: ", err)
	case !same(*k.first, got.Output):
		k.report.fail("repeat", "keep nothing in memory or in files from run to run, and leave chance and the "+
			"clock out; what must be remembered belongs in context variables",
			"the same chunk gives another answer the second time:\n%s\nthen\n%s", short(*k.first), short(got.Output))
	default:
		k.report.pass("repeat", "the same chunk gives the same answer")
	}
	return nil
}

func same(a, b api.TaskOutput) bool { return reflect.DeepEqual(plain(a), plain(b)) }

func plain(o api.TaskOutput) any {
	var v any
	_ = json.Unmarshal(jsonOf(o), &v)
	return v
}

func short(o api.TaskOutput) string {
	text := string(jsonOf(o))
	if len(text) > 400 {
		text = strings.ToValidUTF8(text[:400], "") + "…"
	}
	return text
}

// withoutMedia is a chunk that never came.
func (k *kit) withoutMedia(ctx context.Context) error {
	if k.o.Plugin.Class == api.PlanPluginClassFeaturer && !k.o.Exec {
		k.report.skip("no media", "a Featurer that asks for work itself is not given chunks whose media never came")
		return nil
	}
	_, err := k.again(ctx, false, nil)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		k.answerFailed("no media", "a chunk whose media never came (media is null): ", err)
		k.report.Checks[len(k.report.Checks)-1].Remedy = "answer that nothing was found: holes in a recording are usual"
	default:
		k.report.pass("no media", "a chunk whose media never came is answered")
	}
	return nil
}

// unknownKeys are those of a newer operator.
func (k *kit) unknownKeys(ctx context.Context) error {
	_, err := k.again(ctx, true, func(event []byte) []byte {
		var v map[string]any
		if json.Unmarshal(event, &v) != nil {
			return event
		}
		v["SomethingNew"] = map[string]any{"a": 1}
		for _, member := range []string{"Mre", "Event", "Plugin"} {
			if inner, ok := v[member].(map[string]any); ok {
				inner["somethingNew"] = []any{"b"}
			}
		}
		return jsonOf(v)
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		k.answerFailed("new keys", "an input with keys of a newer operator: ", err)
		k.report.Checks[len(k.report.Checks)-1].Remedy = "pass over keys that you do not know"
	default:
		k.report.pass("new keys", "keys of a newer operator are passed over")
	}
	return nil
}

// broken ends the process in the middle of a run, as its time-out does, and wants the next run to be as any.
func (k *kit) broken(ctx context.Context) error {
	if k.o.Exec || k.first == nil {
		k.report.skip("restart", "there is no warm process to be ended in the middle of a run")
		return nil
	}
	run, err := k.tasks.of(k.tasks.clip.chunks[0], true, false)
	if err != nil {
		return err
	}
	// Too short for nearly any plugin. One that has answered all the same is ended between two runs.
	_, _ = k.host.invoke(ctx, run, time.Millisecond, nil)
	k.host.kill()
	got, err := k.again(ctx, true, nil)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		k.answerFailed("restart", "after it was ended in the middle of a run: ", err)
		k.report.Checks[len(k.report.Checks)-1].Remedy = "start from nothing: locks and half-written files of " +
			"an earlier life must not matter"
	case !same(*k.first, got.Output):
		k.report.fail("restart", "start from nothing: files of an earlier life must not matter", "after it was ended in the "+
			"middle of a run, the same chunk gives another answer:\n%s\nthen\n%s", short(*k.first), short(got.Output))
	default:
		k.report.pass("restart", "ended in the middle of a run, it comes back and answers as before")
	}
	return nil
}

// stop wants the process to end when it is told to.
func (k *kit) stop(ctx context.Context) {
	if k.o.Exec {
		k.report.skip("stop", "with protocol Exec nothing runs between the runs")
		return
	}
	if err := k.host.running(ctx); err != nil {
		k.report.skip("stop", "it does not run any more")
		return
	}
	if took, ok := k.host.process.stop(ctx, stopTime); ok {
		k.report.pass("stop", "it ends %.2f s after SIGTERM", took.Seconds())
	} else {
		k.report.fail("stop",
			"end on SIGTERM; as the first process of a container, a program without a handler does not hear it",
			"it still runs %s after SIGTERM, and was killed", stopTime)
	}
}
