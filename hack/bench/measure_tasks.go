// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime/pprof"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// tasksPerChunk: a framer, two featurers, the segmenter.
	tasksPerChunk = 4
	// The busy run has as many workers as the namespace of a busy site; the calm one shows what a task costs.
	busyEvents, busyWorkers = 8, 2
	calmEvents, calmWorkers = 1, 1
)

func taskNames(engine string) []string {
	return []string{"chunks-per-second-" + engine, "task-overhead-ms-p50-" + engine, "task-overhead-ms-p99-" + engine}
}

// measureTasks is what the data plane does by itself: workers that do nothing lease tasks and report results, over
// HTTP, each call durable when it is answered. The workers run on the same machine, and in the same process.
func measureTasks(engine string) func(context.Context, *bench) ([]Result, error) {
	return func(ctx context.Context, b *bench) (_ []Result, err error) {
		p, err := startPlane(ctx, engine)
		if err != nil {
			return nil, err
		}
		defer func() {
			if e := p.stop(); err == nil {
				err = e
			}
		}()
		if b.profile != "" {
			file, err := os.Create(b.profile + "." + engine)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			if err := pprof.StartCPUProfile(file); err != nil {
				return nil, err
			}
			defer pprof.StopCPUProfile()
		}
		if _, _, err := p.work(ctx, "warm", 2, 2, 20); err != nil {
			return nil, err
		}
		took, busy, err := p.work(ctx, "busy", busyEvents, busyWorkers, b.busyChunks)
		if err != nil {
			return nil, err
		}
		_, calm, err := p.work(ctx, "calm", calmEvents, calmWorkers, b.calmChunks)
		if err != nil {
			return nil, err
		}
		chunks := float64(len(busy)) / tasksPerChunk / took.Seconds()
		say("  busy: %d Events, %d workers each: %.0f chunks/s, a task p50 %.1f ms, p99 %.1f ms", busyEvents,
			busyWorkers, chunks, median(busy), percentile(busy, 99))
		say("  calm: one worker: a task p50 %.1f ms, p99 %.1f ms; %d calls cost %d TokenReviews", median(calm),
			percentile(calm, 99), len(busy)+len(calm), p.reviews.Load())
		names, goal := taskNames(engine), map[string]float64{"sqlite": 5, "postgres": 15}[engine]
		return []Result{
			{Name: names[0], Unit: "chunks/s", Ours: chunks, Goal: new(100.0), AtLeast: true, Runs: 1},
			{Name: names[1], Unit: "ms", Ours: median(calm), Goal: &goal, Runs: len(calm)},
			{Name: names[2], Unit: "ms", Ours: percentile(calm, 99), Goal: new(50.0), Runs: len(calm)},
		}, nil
	}
}

// work has workers do all tasks of some Events. It returns how long that took and, for each task, the milliseconds
// that its worker waited: for the call that reports a result and brings the next task.
func (p *plane) work(ctx context.Context, run string, events, workers, chunks int) (time.Duration, []float64, error) {
	for n := range events {
		if err := p.fill(ctx, uidOf(run, n), chunks); err != nil {
			return 0, nil, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	waits := make([][]float64, events*workers)
	ended := make([]time.Time, events*workers)
	began := time.Now()
	for n := range events {
		for w := range workers {
			group.Go(func() (err error) {
				i := n*workers + w
				waits[i], ended[i], err = p.worker(ctx, uidOf(run, n), fmt.Sprintf("worker-%d", w))
				return err
			})
		}
	}
	err := group.Wait()
	took := slices.MaxFunc(ended, time.Time.Compare).Sub(began)
	var all []float64
	for _, w := range waits {
		all = append(all, w...)
	}
	if want := events * chunks * tasksPerChunk; err == nil && len(all) != want {
		err = fmt.Errorf("%d tasks were done, want %d", len(all), want)
	}
	return took, all, err
}

// idlePlugin is one whose tasks are there to be counted.
func idlePlugin(name string, class api.PlanPluginClass, deps ...string) api.PlanPlugin {
	return api.PlanPlugin{
		Name: name, Class: class, MediaType: api.PlanPluginMediaTypeVideo, Builtin: name, Configuration: map[string]any{},
		DependsOn: deps, Outputs: []string{}, TimeoutSeconds: 60, MaxAttempts: 3, OnFailure: api.PlanPluginOnFailureSkip,
	}
}

// fill stores an Event of three plugins.
func (p *plane) fill(ctx context.Context, uid string, chunks int) error {
	return p.fillWith(ctx, uid, chunks, []api.PlanPlugin{
		idlePlugin("first", api.PlanPluginClassFeaturer), idlePlugin("second", api.PlanPluginClassFeaturer),
		idlePlugin("segment", api.PlanPluginClassSegmenter, "first", "second"),
	})
}

// fillWith stores an Event whose chunks are all closed and whose source goes on.
func (p *plane) fillWith(ctx context.Context, uid string, chunks int, plugins []api.PlanPlugin) error {
	plan := api.Plan{
		Hash: "bench", Event: api.PlanEvent{UID: uid, Namespace: "bench", Name: uid, Program: "Benchmark", Profile: "bench"},
		Source: api.PlanSource{FileURL: "s3://in/match.mp4"}, ChunkSeconds: 2, UnitMicros: 2_000_000, MaxSegmentSeconds: 60,
		GapTimeoutSeconds: 600, DrainTimeoutSeconds: 600, Segmenter: "segment",
		Plugins: plugins,
	}
	if _, err := p.store.PutPlan(ctx, uid, plan); err != nil {
		return err
	}
	rate := timeline.Rational{Num: 25, Den: 1}
	if err := p.store.PutTimeline(ctx, uid, api.Timeline{Rate: api.Rational{Num: rate.Num, Den: rate.Den}, Width: 1920,
		Height: 1080, Ingest: api.TimelineIngestCopy}); err != nil {
		return err
	}
	tl := timeline.Timeline{Rate: rate, Frames: timeline.Open}
	const frames = 50
	// A chunk closes with the unit behind it.
	for n := range int64(chunks) + 1 {
		first := n * frames
		ticks := tl.FrameStartTicks(first)
		if err := p.store.RegisterUnit(ctx, uid, api.Unit{
			FirstTicks: ticks, Key: keys.Unit("bench", uid, 0, ticks), StartMicros: tl.FrameStartMicros(first),
			EndMicros: tl.FrameStartMicros(first + frames), FirstFrame: first, Frames: frames, IdrFrames: []int64{0},
			PayloadSHA256: fmt.Sprintf("%064d", first), Bytes: 1,
		}); err != nil {
			return err
		}
	}
	return nil
}

// worker does tasks until there are none, and says when it did the last.
func (p *plane) worker(ctx context.Context, uid, name string) (waits []float64, last time.Time, err error) {
	client, err := api.NewClientWithResponses(p.url,
		api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+authtest.AgentToken("bench", uid)+"/"+name)
			return nil
		}), api.WithHTTPClient(&http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}}))
	if err != nil {
		return nil, last, err
	}
	request := api.LeaseRequest{Pool: api.PoolWork, Holder: name}
	signals := json.RawMessage(`{}`)
	for {
		// Another worker may be about to wake a task; nothing for a second is the end.
		request.WaitSeconds = 1
		leased, err := client.LeaseTaskWithResponse(ctx, uid, request)
		if err != nil {
			return nil, last, err
		}
		if leased.JSON200 == nil {
			return nil, last, fmt.Errorf("lease: %s: %s", leased.Status(), leased.Body)
		}
		lease := leased.JSON200.Lease
		if lease == nil {
			return waits, last, nil
		}
		request.WaitSeconds = 0
		for lease != nil {
			out := api.TaskOutput{Token: lease.Token, Next: &request}
			if lease.Kind == api.TaskKindFramer {
				out.Signals = &signals
			}
			asked := time.Now()
			done, err := client.CompleteTaskWithResponse(ctx, uid, lease.TaskID, out)
			if err != nil {
				return nil, last, err
			}
			last = time.Now()
			waits = append(waits, float64(last.Sub(asked).Microseconds())/1000)
			if done.StatusCode() >= 300 {
				return nil, last, fmt.Errorf("complete a %s: %s: %s", lease.Kind, done.Status(), done.Body)
			}
			lease = nil
			if done.JSON200 != nil {
				lease = done.JSON200.Lease
			}
		}
	}
}
