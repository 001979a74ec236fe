// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

const (
	agentUnitMicros = 5_000_000
	agentUnitFrames = 125
	agentOrigin     = 126_000
)

// agent plays the Jobs of an Event: what they would say to the data plane, without media.
type agent struct {
	data *client.Client
	uid  string
}

func newAgent(namespace, uid string) agent {
	return agent{data: plane.asAgentOf(namespace, uid), uid: uid}
}

// open declares the timeline and stores the first units.
func (a agent) open(ctx context.Context) {
	GinkgoHelper()
	Expect(a.data.PutTimeline(ctx, a.uid, api.Timeline{
		OriginTicks: agentOrigin, Rate: api.Rational{Num: 25, Den: 1}, Width: 1920, Height: 1080,
		Ingest: api.TimelineIngestCopy, IngestReason: "H.264 with an IDR every second",
		AudioTracks: []api.AudioTrack{{Track: 1, StreamIndex: 1, Codec: "aac", SampleRate: 48000, Channels: 2}},
	})).To(Succeed())
}

// store uploads and registers a unit.
func (a agent) store(ctx context.Context, n int64) {
	GinkgoHelper()
	key := api.UnitKey{FirstTicks: agentOrigin + n*agentUnitFrames*3600}
	to, err := a.data.MintUnitURL(ctx, a.uid, key)
	Expect(err).NotTo(HaveOccurred())
	body := fmt.Appendf(nil, "unit %d", n)
	put(ctx, to, body)
	Expect(a.data.RegisterUnit(ctx, a.uid, api.Unit{
		FirstTicks: key.FirstTicks, Key: to.Key,
		StartMicros: n * agentUnitMicros, EndMicros: (n + 1) * agentUnitMicros,
		FirstFrame: n * agentUnitFrames, Frames: agentUnitFrames, IdrFrames: []int64{n * agentUnitFrames},
		PayloadSHA256: strings.Repeat(fmt.Sprint(n%10), 64), Bytes: int64(len(body)),
	})).To(Succeed())
}

func (a agent) end(ctx context.Context, units int64) {
	GinkgoHelper()
	Expect(a.data.EndSource(ctx, a.uid, api.SourceEnd{Frames: units * agentUnitFrames})).To(Succeed())
}

// work does the tasks of a pool until there is none, and returns how the last answer put it.
func (a agent) work(ctx context.Context, pool api.Pool) api.LeaseResponseOutcome {
	GinkgoHelper()
	for {
		answer, err := a.data.Lease(ctx, a.uid, api.LeaseRequest{Pool: pool, Holder: "agent"})
		Expect(err).NotTo(HaveOccurred())
		if answer.Outcome != api.LeaseResponseOutcomeTask {
			return answer.Outcome
		}
		out := a.do(ctx, *answer.Lease)
		out.Token = answer.Lease.Token
		_, err = a.data.Complete(ctx, a.uid, answer.Lease.TaskID, out)
		Expect(err).NotTo(HaveOccurred())
	}
}

// do finds a peak in every chunk and makes it a segment.
func (a agent) do(ctx context.Context, lease api.Lease) api.TaskOutput {
	GinkgoHelper()
	in := lease.Input
	switch {
	case in.Framer != nil:
		signals := json.RawMessage(`{}`)
		return api.TaskOutput{Signals: &signals}
	case in.Featurer != nil:
		at := in.Featurer.Chunk.StartMicros
		return api.TaskOutput{Results: []api.NewResult{{StartMicros: at + 1_000_000, EndMicros: at + 2_000_000,
			Attributes: map[string]any{"AudioPeak": true}}}}
	case in.Segmenter != nil:
		if in.Segmenter.Final {
			return api.TaskOutput{}
		}
		at := in.Segmenter.Chunk.StartMicros
		end := at + 4_000_000
		return api.TaskOutput{Segments: []api.SegmentUpdate{{StartMicros: at + 1_000_000,
			EndMicros: &end, Attributes: map[string]any{}}}}
	case in.Optimizer != nil:
		var out api.TaskOutput
		for _, s := range in.Optimizer.Segments {
			out.Optimized = append(out.Optimized, api.OptimizedMarks{SegmentID: s.ID,
				StartMicros: s.In.Micros - 40_000, EndMicros: s.Out.Micros + 40_000, StartCode: "Snapped", EndCode: "Snapped"})
		}
		return out
	case in.Labeler != nil:
		var out api.TaskOutput
		for _, s := range in.Labeler.Segments {
			out.Labels = append(out.Labels, api.SegmentLabel{SegmentID: s.ID, Code: "OK",
				Label: "Goal", Attributes: map[string]any{}})
		}
		return out
	case in.Clip != nil:
		return api.TaskOutput{Media: a.render(ctx, in.Clip.Mp4, in.Clip.Jpg, in.Clip.Out.Frame-in.Clip.In.Frame)}
	case in.Reel != nil:
		frames := int64(0)
		for _, part := range in.Reel.Parts {
			frames += part.Out.Frame - part.In.Frame
		}
		return api.TaskOutput{Media: a.render(ctx, in.Reel.Mp4, &in.Reel.Jpg, frames)}
	}
	Fail(fmt.Sprintf("a lease of a %s without input", lease.Kind))
	return api.TaskOutput{}
}

func (a agent) render(ctx context.Context, mp4 api.Upload, jpg *api.Upload, frames int64) *api.MediaProof {
	GinkgoHelper()
	proof := &api.MediaProof{Key: mp4.Key, Frames: frames, Width: 1920, Height: 1080, Bytes: 3,
		DurationMicros: frames * 40_000, Method: api.MediaProofMethodReencode, MethodReason: "a test"}
	put(ctx, mp4, []byte("mp4"))
	if jpg != nil {
		put(ctx, *jpg, []byte("jpg"))
		proof.ThumbnailKey = &jpg.Key
	}
	return proof
}

func put(ctx context.Context, to api.Upload, body []byte) {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, to.URL, bytes.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	for name, value := range to.Headers {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(request)
	Expect(err).NotTo(HaveOccurred())
	Expect(response.Body.Close()).To(Succeed())
	Expect(response.StatusCode).To(Equal(http.StatusOK))
}
