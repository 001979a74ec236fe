// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/auth/authtest"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/internal/presigned"
)

const (
	originTicks = int64(126_000)
	frameRate   = int64(25)
	// sourceUnits is how many units the source has.
	sourceUnits = int64(3)
	// retryPause is how long a pod waits after a call that failed; idlePause how long one waits for work.
	retryPause = time.Second
	idlePause  = 5 * time.Second
)

// pod is the process of a Job. It is an actor until it has ended.
type pod struct {
	run  *run
	proc *proc
	nap  nap
	data *client.Client
	puts *presigned.Client
	job  string
	role string
	// slot is the ordinal of the Job.
	slot int32
	// over and failed are how it ended.
	over, failed bool
	// step of the role; it is called until over.
	act func()
}

func (r *run) newPod(job *batchv1.Job, ordinal int32) *pod {
	role, pool := job.Labels[mrev1.LabelRole], job.Labels[mrev1.LabelPool]
	p := &pod{run: r, proc: newProc(r.ctx, role+pool+"-"+strconv.Itoa(int(ordinal))),
		puts: presigned.New(), job: job.Name, role: role, slot: ordinal}
	p.data = r.dial(p.proc, authtest.AgentToken(r.namespace, r.eventUID))
	switch role {
	case "ingest":
		p.act = (&ingest{pod: p}).step
	case "worker":
		p.act = (&worker{pod: p, pool: api.WorkerPool(pool)}).step
	default:
		p.act = (&worker{pod: p, pool: api.PoolRender}).step
	}
	return p
}

func (p *pod) name() string           { return p.proc.name }
func (p *pod) due() (time.Time, bool) { return p.nap.due(p.run) }
func (p *pod) pause(d time.Duration)  { p.nap.until(p.run.now().Add(d)) }
func (p *pod) exit()                  { p.over = true }
func (p *pod) uid() string            { return p.run.eventUID }
func (p *pod) step() {
	p.run.moving = p.proc
	p.nap.until(p.run.now())
	p.act()
	p.run.moving = nil
	if p.proc.dead.Load() {
		p.over, p.failed = true, true
	}
	if p.over {
		p.run.ended(p)
	}
}

// ingest stores the source. After a call that failed it starts from nothing, as its supervisor lets it.
type ingest struct {
	*pod
	spec   *api.IngestSpec
	stored map[int64]bool
	told   bool
	next   int64
}

func (i *ingest) step() {
	if err := i.take(); err != nil {
		if client.Is(err, api.ProblemCodeGone) {
			i.exit()
			return
		}
		i.spec, i.told, i.next = nil, false, 0
		i.pause(retryPause)
	}
}

// take does one thing: look, declare, store a unit, or end.
func (i *ingest) take() error {
	ctx := i.proc.ctx
	if i.spec == nil {
		spec, err := i.data.Ingest(ctx, i.uid())
		if err != nil {
			return err
		}
		i.spec, i.stored = &spec, map[int64]bool{}
		for _, u := range spec.Units {
			i.stored[u.FirstTicks] = true
		}
		if spec.Ended {
			i.exit()
		}
		return nil
	}
	if !i.told {
		i.told = true
		codec := "h264"
		return i.data.PutTimeline(ctx, i.uid(),
			api.Timeline{OriginTicks: originTicks, Rate: api.Rational{Num: frameRate, Den: 1}, Width: 1280, Height: 720,
				Ingest: api.TimelineIngestCopy, IngestReason: "H.264 with an IDR every second", VideoCodec: &codec,
				AudioTracks: []api.AudioTrack{{Track: 1, StreamIndex: 1, Codec: "aac", SampleRate: 48000, Channels: 2}}})
	}
	frames := i.spec.UnitMicros / second * frameRate
	for i.next < sourceUnits && i.stored[originTicks+i.next*frames*3600] {
		i.next++
	}
	if i.next == sourceUnits {
		err := i.data.EndSource(ctx, i.uid(), api.SourceEnd{Frames: sourceUnits * frames})
		if err == nil {
			i.exit()
		}
		return err
	}
	err := i.unit(i.next, frames)
	i.next++
	return err
}

func (i *ingest) unit(n, frames int64) error {
	ctx := i.proc.ctx
	body := fmt.Appendf(nil, "unit %d of the source", n)
	sum := sha256.Sum256(body)
	u := api.Unit{FirstTicks: originTicks + n*frames*3600, StartMicros: n * i.spec.UnitMicros,
		EndMicros: (n + 1) * i.spec.UnitMicros, FirstFrame: n * frames, Frames: frames, IdrFrames: []int64{n * frames},
		PayloadSHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(body))}
	to, err := i.data.MintUnitURL(ctx, i.uid(), api.UnitKey{FirstTicks: u.FirstTicks})
	if err != nil {
		return err
	}
	if err := i.puts.Put(ctx, to, bytes.NewReader(body), u.Bytes); errors.Is(err, presigned.ErrExists) {
		there, err := i.puts.Get(ctx, *to.Existing, 1<<20)
		if err != nil {
			return err
		}
		if !bytes.Equal(there, body) {
			i.run.violate("what is stored at %s is %q, not the unit", plain(to.Key), there)
		}
	} else if err != nil {
		return err
	}
	u.Key = to.Key
	return i.data.RegisterUnit(ctx, i.uid(), u)
}

// worker runs tasks of a pool. Like the agent, it repeats a report until it was heard, and takes the next task
// with it.
type worker struct {
	*pod
	pool  api.Pool
	lease *api.Lease
	// out is what the lease's task put out, when it is to be reported.
	out *api.TaskOutput
	// failure is why there is none, or why it was not taken.
	failure *api.TaskFailure
}

func (w *worker) request() *api.LeaseRequest {
	return &api.LeaseRequest{Pool: w.pool, Holder: w.job, Ordinal: &w.slot}
}

func (w *worker) step() {
	ctx := w.proc.ctx
	switch {
	case w.lease == nil:
		resp, err := w.data.Lease(ctx, w.uid(), *w.request())
		switch {
		case client.Is(err, api.ProblemCodeGone):
			w.exit()
		case err != nil:
			w.pause(retryPause)
		default:
			w.hear(&resp)
		}
	case w.failure != nil:
		w.failure.Token = w.lease.Token
		err := w.data.Fail(ctx, w.uid(), w.lease.TaskID, *w.failure)
		if err == nil || lost(err) {
			w.lease, w.out, w.failure = nil, nil, nil
			return
		}
		w.pause(retryPause)
	case w.out == nil:
		w.do()
	default:
		w.report()
	}
}

// do makes the output. Rendering stores objects; what an earlier try of the same attempt stored is as good.
func (w *worker) do() {
	out := work(w.lease)
	err := w.fetch(w.lease.Media)
	switch in := w.lease.Input; {
	case in.Clip != nil:
		out.Media, err = w.render(in.Clip.Mp4, in.Clip.Jpg, in.Clip.Out.Frame-in.Clip.In.Frame)
	case in.Reel != nil:
		frames := int64(0)
		for _, part := range in.Reel.Parts {
			frames += part.Out.Frame - part.In.Frame
		}
		out.Media, err = w.render(in.Reel.Mp4, &in.Reel.Jpg, frames)
	}
	if err != nil {
		w.failure = &api.TaskFailure{Message: err.Error(), Retryable: true, StoreAway: new(errors.Is(err, presigned.ErrAway))}
		return
	}
	out.Next = w.request()
	w.out = &out
}

// fetch reads the chunk that a plugin in a container looks at. It tries once: that the store is away ends the attempt.
func (w *worker) fetch(media *api.ChunkMedia) error {
	if media == nil {
		return nil
	}
	for _, u := range media.Units {
		req, err := http.NewRequestWithContext(w.proc.ctx, http.MethodGet, u.URL, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return presigned.Away(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		switch {
		case err != nil:
			return presigned.Away(err)
		case resp.StatusCode != http.StatusOK:
			return presigned.Refused(resp, body)
		case !strings.HasPrefix(string(body), "unit "):
			w.run.violate("%s reads %q as a unit", w.lease.Kind, body)
		}
	}
	return nil
}

func (w *worker) render(mp4 api.Upload, jpg *api.Upload, frames int64) (*api.MediaProof, error) {
	body := fmt.Appendf(nil, "%d frames of %s", frames, w.job)
	proof := &api.MediaProof{Key: mp4.Key, Frames: frames, Width: 1280, Height: 720, Bytes: int64(len(body)),
		DurationMicros: frames * second / frameRate, Method: api.MediaProofMethodReencode, MethodReason: "a test"}
	if err := w.puts.Put(w.proc.ctx, mp4, bytes.NewReader(body), proof.Bytes); err != nil &&
		!errors.Is(err, presigned.ErrExists) {
		return nil, err
	}
	if jpg != nil {
		if err := w.puts.Put(w.proc.ctx, *jpg, bytes.NewReader([]byte("jpg")), 3); err != nil &&
			!errors.Is(err, presigned.ErrExists) {
			return nil, err
		}
		proof.ThumbnailKey = &jpg.Key
	}
	return proof, nil
}

func (w *worker) report() {
	next, err := w.data.Complete(w.proc.ctx, w.uid(), w.lease.TaskID, *w.out)
	switch code := client.Code(err); {
	case err == nil:
		w.lease, w.out = nil, nil
		w.hear(next)
	case lost(err):
		w.lease, w.out = nil, nil
	case code == api.ProblemCodeInvalid, code == api.ProblemCodeTooLarge:
		w.failure = &api.TaskFailure{Message: err.Error(), Retryable: true}
		w.run.violate("the data plane refuses the output of %s: %v", w.lease.Kind, err)
	default:
		w.pause(retryPause)
	}
}

func (w *worker) hear(resp *api.LeaseResponse) {
	switch {
	case resp == nil:
	case resp.Outcome == api.LeaseResponseOutcomeDone, resp.Outcome == api.LeaseResponseOutcomeRetire:
		w.exit()
	case resp.Lease != nil:
		w.lease = resp.Lease
	default:
		w.pause(idlePause)
	}
}

// lost says that a task is not ours any more.
func lost(err error) bool {
	switch client.Code(err) {
	case api.ProblemCodeLeaseLost, api.ProblemCodeConflict, api.ProblemCodeGone, api.ProblemCodeNotFound:
		return true
	}
	return false
}
