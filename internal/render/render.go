// SPDX-License-Identifier: Apache-2.0

// Package render runs the clip and reel tasks of a render Job: it fetches the
// units, has internal/media make the file, and stores the MP4 and then its
// thumbnail.
package render

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/assemble"
	"github.com/mre-operator/mre-operator/internal/media/cut"
	"github.com/mre-operator/mre-operator/internal/media/render"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/internal/presigned"
	"github.com/mre-operator/mre-operator/internal/unitcache"
	"github.com/mre-operator/mre-operator/plugin-runtime/agent"
)

// Runner implements agent.Runner for the render pool.
type Runner struct {
	units   *unitcache.Cache
	uploads *presigned.Client
	scratch string
}

// New uses the scratch folder for units and for files that are being made.
func New(scratch string, cacheBytes int64) (*Runner, error) {
	units, err := unitcache.New(filepath.Join(scratch, "units"), cacheBytes)
	if err != nil {
		return nil, err
	}
	out := filepath.Join(scratch, "out")
	if err := os.RemoveAll(out); err != nil {
		return nil, fmt.Errorf("empty the scratch folder: %w", err)
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, fmt.Errorf("make the scratch folder (is the volume writable?): %w", err)
	}
	return &Runner{units: units, uploads: presigned.New(), scratch: out}, nil
}

// Chunk implements agent.Runner: render tasks have no chunk.
func (*Runner) Chunk() int64 { return 0 }

// Run implements agent.Runner.
func (r *Runner) Run(ctx context.Context, lease api.Lease) (api.TaskOutput, error) {
	dir, err := os.MkdirTemp(r.scratch, fmt.Sprintf("task-%d-", lease.TaskID))
	if err != nil {
		return api.TaskOutput{}, fmt.Errorf("make a place for the output: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	job := job{runner: r, mp4: filepath.Join(dir, "out.mp4"), jpg: filepath.Join(dir, "out.jpg")}
	var proof api.MediaProof
	switch {
	case lease.Input.Clip != nil:
		proof, err = job.clip(ctx, *lease.Input.Clip)
	case lease.Input.Reel != nil:
		proof, err = job.reel(ctx, *lease.Input.Reel)
	default:
		err = agent.Permanent(fmt.Errorf("a render Job got a task of kind %q without clip or reel", lease.Kind))
	}
	if err != nil {
		return api.TaskOutput{}, err
	}
	return api.TaskOutput{Media: &proof}, nil
}

// job is one file that is being made.
type job struct {
	runner   *Runner
	mp4, jpg string
}

func (j job) clip(ctx context.Context, in api.ClipInput) (api.MediaProof, error) {
	units, release, err := j.fetch(ctx, in.Units)
	if err != nil {
		return api.MediaProof{}, err
	}
	defer release()
	tl := in.Timeline.ClosedClock()
	jpg, jpgPath := in.Jpg, j.jpg
	if !in.Thumbnail {
		jpg, jpgPath = nil, ""
	}
	made, err := cut.Clip(ctx, cut.ClipSpec{
		Units: units, In: mark(in.In), Out: mark(in.Out), Timeline: tl,
		AudioTrack: int(in.Track), AudioChannels: channels(in.AudioChannels),
	}, j.mp4, jpgPath)
	if err != nil {
		return api.MediaProof{}, err
	}
	return j.store(ctx, tl, made, in.Mp4, jpg)
}

func (j job) reel(ctx context.Context, in api.ReelInput) (api.MediaProof, error) {
	spec := render.ReelSpec{
		Timeline: in.Timeline.ClosedClock(), AudioTrack: int(in.Track), AudioChannels: channels(in.AudioChannels),
		Width: int(in.Width), Height: int(in.Height),
	}
	// All units are fetched at once: parts may share some.
	var all []api.UnitRef
	for _, p := range in.Parts {
		all = append(all, p.Units...)
	}
	units, release, err := j.fetch(ctx, all)
	if err != nil {
		return api.MediaProof{}, err
	}
	defer release()
	for _, p := range in.Parts {
		spec.Parts = append(spec.Parts, render.Part{Units: units[:len(p.Units)], In: mark(p.In), Out: mark(p.Out)})
		units = units[len(p.Units):]
	}
	made, err := render.Reel(ctx, spec, j.mp4, j.jpg)
	if err != nil {
		return api.MediaProof{}, err
	}
	return j.store(ctx, spec.Timeline, made, in.Mp4, &in.Jpg)
}

func (j job) fetch(ctx context.Context, refs []api.UnitRef) ([]assemble.UnitFile, func(), error) {
	paths, release, err := j.runner.units.Get(ctx, refs)
	if err != nil {
		return nil, nil, err
	}
	units := make([]assemble.UnitFile, len(refs))
	for i, ref := range refs {
		units[i] = assemble.UnitFile{Path: paths[i], FirstTicks: ref.FirstTicks, FirstFrame: ref.FirstFrame}
	}
	return units, release, nil
}

// store uploads the files and says what they are. The row names the MP4, so
// it goes first; an attempt that dies in between leaves objects that no row
// names, which the sweeper removes.
func (j job) store(ctx context.Context, tl timeline.Timeline, made assemble.Proof,
	mp4 api.Upload, jpg *api.Upload) (api.MediaProof, error) {
	size, err := j.put(ctx, mp4, j.mp4)
	if err != nil {
		return api.MediaProof{}, err
	}
	proof := api.MediaProof{
		Key: mp4.Key, Bytes: size,
		Frames: made.Frames, Width: int32(made.Width), Height: int32(made.Height),
		// A film is shown at the nominal rate, whatever the source's clock did.
		DurationMicros: timeline.Timeline{Rate: tl.Rate}.FrameStartMicros(made.Frames),
		Method:         api.MediaProofMethodReencode, MethodReason: made.Reason,
	}
	if made.AudioSamples > 0 {
		proof.AudioSamples = &made.AudioSamples
	}
	if jpg != nil {
		if _, err := j.put(ctx, *jpg, j.jpg); err != nil {
			return api.MediaProof{}, err
		}
		proof.ThumbnailKey = &jpg.Key
	}
	return proof, nil
}

func (j job) put(ctx context.Context, to api.Upload, path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("read what was made: %w", err)
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("read what was made: %w", err)
	}
	// Keys carry the attempt and no two runs have the same one, so an object
	// that is there came from an earlier try of this very upload.
	if err := j.runner.uploads.Put(ctx, to, f, st.Size()); err != nil && !errors.Is(err, presigned.ErrExists) {
		return 0, err
	}
	return st.Size(), nil
}

// channels are Stereo where the plan does not say.
func channels(c *api.AudioChannels) assemble.Channels {
	if c != nil && *c == api.AudioChannelsSource {
		return assemble.Source
	}
	return assemble.Stereo
}

func mark(m api.Mark) timeline.Mark {
	return timeline.Mark{Frame: m.Frame, Ticks: m.Ticks, Micros: m.Micros}
}
