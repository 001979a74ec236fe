// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// matchSeconds is how long the recording of the tests is.
func matchSeconds() int {
	if testing.Short() {
		return 60
	}
	return 120
}

// TestGoldenPath turns the match into segments, clips, reels and exports, and holds each against the script.
func TestGoldenPath(t *testing.T) {
	a := newArea(t)
	m := a.theMatch(matchSeconds())
	began := time.Now()
	e := a.event("match", a.upload(m.Path), mrev1alpha1.DeletionDelete)
	r := a.replay("reel", "match")
	a.finished(e, r, 8*time.Minute)
	t.Logf("complete and rendered after %s", time.Since(began).Round(time.Second))

	done := a.readRun(e, r)
	a.Expect(done.state.Timeline.Frames).To(HaveValue(Equal(m.Truth.Frames)), "stored frames")
	a.Expect(done.state.Progress.ChunksFailed).To(BeZero())
	a.Expect(done.state.Progress.ChunksProcessed).To(Equal(int64((matchSeconds() + 5) / 6)))
	a.checkOnce(done)
	a.checkMoments(done.segments, m.Truth)
	a.checkClips(done, m)
	a.checkReels(done, m)
	a.checkExports(done)
	a.checkStatus(e, done)
}

// checkStatus wants the Event's status to say what the data plane knows.
func (a *area) checkStatus(e *mrev1alpha1.Event, r run) {
	a.Helper()
	a.Expect(e.Status.Progress).NotTo(BeNil())
	a.Expect(e.Status.Progress.Segments.Complete).To(Equal(int64(len(r.segments))))
	a.Expect(e.Status.Progress.Clips.Rendered).To(Equal(int64(len(r.clips))))
	a.Expect(e.Status.Progress.Chunks.Processed).To(Equal(r.state.Progress.ChunksProcessed))
	a.Expect(e.Status.Artifacts).NotTo(BeNil())
	a.Expect(e.Status.Artifacts.Export).To(HavePrefix("s3://"))
	a.Expect(e.Status.Artifacts.EDL).To(HaveLen(1))
	a.Expect(e.Status.ObservedGeneration).To(Equal(e.Generation))
}
