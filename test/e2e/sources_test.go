// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// TestBadSources wants each to end in a clear reason within a minute, while a good Event goes on.
func TestBadSources(t *testing.T) {
	a := newArea(t)
	good := a.event("good", a.upload(a.theMatch(60).Path), mrev1alpha1.DeletionDelete)
	bad := map[string]struct{ location, reason string }{
		"corrupt":   {a.upload(a.noise("corrupt.mp4")), mrev1alpha1.ReasonSourceCorrupt},
		"truncated": {a.upload(a.truncated("truncated.mp4")), mrev1alpha1.ReasonSourceCorrupt},
		"sound":     {a.upload(a.soundOnly("sound.mp4")), mrev1alpha1.ReasonNoVideo},
		"missing":   {"s3://" + bucketName + "/inputs/e2e/there-is-no-such-file.mp4", mrev1alpha1.ReasonSourceNotFound},
		"nothing":   {a.upload(a.file("empty.mp4", nil)), mrev1alpha1.ReasonSourceEmpty},
		"nobody":    {"http://nobody.invalid/match.mp4", mrev1alpha1.ReasonSourceUnreachable},
	}
	for name, source := range bad {
		e := a.event(name, source.location, mrev1alpha1.DeletionDelete)
		created := time.Now()
		a.Eventually(a.condition(e, mrev1alpha1.ConditionFailed), 90*time.Second, time.Second).
			Should(Equal("true "+source.reason), "Event %s", name)
		_, _, message := clusterclient.ConditionTrue(e.Status.Conditions, mrev1alpha1.ConditionFailed)
		took := time.Since(created)
		t.Logf("%s failed after %s: %s: %s", name, took.Round(time.Second), source.reason, message)
		a.Expect(message).NotTo(BeEmpty(), "message of %s", name)
		a.Expect(took).To(BeNumerically("<=", time.Minute), "Event %s", name)
	}
	a.finished(good, nil, 6*time.Minute)
}

func (a *area) file(name string, content []byte) string {
	a.Helper()
	path := filepath.Join(a.TempDir(), name)
	a.Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
	return path
}

func (a *area) noise(name string) string {
	content := make([]byte, 200_000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(random.Uint32())
	}
	return a.file(name, content)
}

// truncated is the match without its end, where an MP4's index is.
func (a *area) truncated(name string) string {
	a.Helper()
	out := filepath.Join(a.TempDir(), "whole.mp4")
	// Without faststart the index comes last.
	a.Expect(ffmpeg.Run(a.ctx, ffmpeg.Cmd{Tool: "ffmpeg",
		Args: append(ffmpeg.Input(a.theMatch(60).Path), "-t", "10", "-c", "copy", out)})).To(Succeed())
	content, err := os.ReadFile(out)
	a.Expect(err).NotTo(HaveOccurred())
	return a.file(name, content[:len(content)/2])
}

func (a *area) soundOnly(name string) string {
	a.Helper()
	out := filepath.Join(a.TempDir(), name)
	a.Expect(ffmpeg.Run(a.ctx, ffmpeg.Cmd{Tool: "ffmpeg", Args: []string{
		"-f", "lavfi", "-i", "sine=frequency=440:duration=5", "-c:a", "aac", out}})).To(Succeed())
	return out
}
