// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

// TestFieldMedia processes the match as recorders and networks leave it: with packets of sound that were lost, with a
// picture that changes its size in mid-file, and without its end. Each shows the right frames, and says what it lacks.
// The kinds themselves are measured in test/media.
func TestFieldMedia(t *testing.T) {
	a := newArea(t)
	m := a.theMatch(60)
	lost := a.event("lost-sound", a.upload(a.lostSound(m, "lost-sound.ts")), mrev1alpha1.DeletionDelete)
	sizes := a.event("two-sizes", a.upload(a.twoSizes(m, "two-sizes.ts")), mrev1alpha1.DeletionDelete)
	cutOff := a.event("cut-off", a.upload(a.cutOff(m, "cut-off.mp4")), mrev1alpha1.DeletionDelete)

	a.finished(lost, nil, 8*time.Minute)
	a.checkField(lost, m, mrev1alpha1.ReasonCompleted)
	a.Expect(lost.Status.Source.Ingest).To(Equal("Copy"), "damaged sound is no reason to re-encode the pictures")
	a.Expect(lost.Status.Source.Parts).To(BeEmpty())
	a.Expect(lost.Status.Progress.Chunks.Failed).To(BeZero())

	a.finished(sizes, nil, 8*time.Minute)
	a.checkField(sizes, m, mrev1alpha1.ReasonCompleted)
	a.Expect(sizes.Status.Source.Ingest).To(Equal("Copy"), "how ingest began: %s", sizes.Status.Source.Reason)
	a.Expect(sizes.Status.Source.Resolution).To(Equal("1280x720"))
	a.Expect(sizes.Status.Source.Parts).To(HaveLen(1))
	part := sizes.Status.Source.Parts[0]
	a.Expect(part.Ingest).To(Equal("Mezzanine"))
	// The size changes at 30 s, in the first picture behind the unit from 24 s on. That is stored once the next one has
	// begun, which it never has.
	a.Expect(part.From).To(Equal("00:00:24.000"), "%s", part.Reason)
	a.Expect(part.Reason).To(ContainSubstring("1280x720 to 640x360"))

	a.finished(cutOff, nil, 8*time.Minute)
	a.checkField(cutOff, m, mrev1alpha1.ReasonCompletedWithFailures)
	a.Expect(cutOff.Status.Source.Incomplete).To(ContainSubstring("cut off"))
	complete := meta.FindStatusCondition(cutOff.Status.Conditions, mrev1alpha1.ConditionComplete)
	a.Expect(complete.Message).To(ContainSubstring("the rest of the source"))
	ready := meta.FindStatusCondition(cutOff.Status.Conditions, mrev1alpha1.ConditionReady)
	a.Expect(ready.Status).To(Equal(metav1.ConditionTrue), "all that could be made of it is there: %s", ready.Message)
}

// checkField holds a Complete Event against the match, as far as its source went: the moments have segments, and each
// clip shows exactly the frames between its marks.
func (a *area) checkField(e *mrev1alpha1.Event, m match.Match, reason string) {
	a.Helper()
	complete := meta.FindStatusCondition(e.Status.Conditions, mrev1alpha1.ConditionComplete)
	a.Expect(complete.Reason).To(Equal(reason), "Event %s: %s", e.Name, complete.Message)
	a.Expect(e.Status.Source).NotTo(BeNil())
	a.Expect(e.Status.DeadLetters).To(HaveValue(BeZero()), "dead letters of %s", e.Name)

	r := a.readRun(e, nil)
	a.Expect(r.state.Timeline.Frames).NotTo(BeNil())
	frames, truth := *r.state.Timeline.Frames, m.Truth
	if reason == mrev1alpha1.ReasonCompleted {
		a.Expect(frames).To(Equal(truth.Frames), "frames of %s", e.Name)
	} else {
		a.Expect(frames).To(And(BeNumerically(">", truth.Frames/2), BeNumerically("<", truth.Frames)), "frames of %s", e.Name)
	}
	truth.Moments = slices.DeleteFunc(slices.Clone(truth.Moments), func(m match.Moment) bool { return m.Frame >= frames })
	a.Expect(truth.Moments).NotTo(BeEmpty())
	a.checkMoments(r.segments, truth)
	a.checkClips(r, m)
}

const (
	packetSize = 188
	// soundPID is the one that FFmpeg gives the first sound of a transport stream.
	soundPID = 0x101
)

// lostSound is the match as a transport stream that lacks four packets of its sound.
func (a *area) lostSound(m match.Match, name string) string {
	a.Helper()
	whole := a.convert("whole.ts", "-i", m.Path, "-map", "0", "-c", "copy", "-f", "mpegts")
	raw, err := os.ReadFile(whole)
	a.Expect(err).NotTo(HaveOccurred())
	var sound []int
	for at := 0; at+packetSize <= len(raw); at += packetSize {
		if int(raw[at+1]&0x1f)<<8|int(raw[at+2]) == soundPID {
			sound = append(sound, at)
		}
	}
	const lost = 4
	a.Expect(len(sound)).To(BeNumerically(">", 100*lost), "packets of sound")
	var out []byte
	from := 0
	for i := range lost {
		at := sound[len(sound)*(i+1)/(lost+1)]
		out, from = append(out, raw[from:at]...), at+packetSize
	}
	return a.file(name, append(out, raw[from:]...))
}

// twoSizes is the match as a transport stream whose second half has half the picture's size.
func (a *area) twoSizes(m match.Match, name string) string {
	a.Helper()
	half := strconv.FormatInt(m.Truth.Frames/2, 10)
	seconds := m.Truth.Frames / 2 / 30
	var out []byte
	for i, filters := range [][2]string{
		{"trim=end_frame=" + half, "atrim=end=" + strconv.FormatInt(seconds, 10)},
		{"trim=start_frame=" + half + ",setpts=PTS-STARTPTS,scale=iw/2:ih/2",
			"atrim=start=" + strconv.FormatInt(seconds, 10) + ",asetpts=PTS-STARTPTS"},
	} {
		// The clock begins at 10 s, as FFmpeg would move what is encoded before the first picture to zero.
		offset := strconv.FormatInt(10+int64(i)*seconds, 10)
		part := a.convert("part.ts", "-i", m.Path, "-vf", filters[0], "-af", filters[1],
			"-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-keyint_min", "30", "-sc_threshold", "0",
			"-c:a", "aac", "-output_ts_offset", offset, "-f", "mpegts")
		raw, err := os.ReadFile(part)
		a.Expect(err).NotTo(HaveOccurred())
		out = append(out, raw...)
	}
	return a.file(name, out)
}

// cutOff is the match as an MP4 with its index at its front, of which a third is missing, as after a copy that was not
// finished.
func (a *area) cutOff(m match.Match, name string) string {
	a.Helper()
	whole := a.convert("whole.mp4", "-i", m.Path, "-map", "0", "-c", "copy", "-movflags", "+faststart")
	raw, err := os.ReadFile(whole)
	a.Expect(err).NotTo(HaveOccurred())
	return a.file(name, raw[:len(raw)*2/3])
}

// convert runs FFmpeg with a new file as its output.
func (a *area) convert(name string, args ...string) string {
	a.Helper()
	out := filepath.Join(a.TempDir(), name)
	a.Expect(ffmpeg.Run(a.ctx, ffmpeg.Cmd{Tool: "ffmpeg", Args: append(args, out)})).To(Succeed())
	return out
}
