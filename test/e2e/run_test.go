// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"slices"

	. "github.com/onsi/gomega"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
	"github.com/mre-operator/mre-operator/test/support/frames"
)

// run is all that the data plane knows of a finished Event and its Replay.
type run struct {
	uid      string
	state    api.EventState
	segments []api.Segment
	clips    []api.Clip
	units    []api.Unit
	tasks    []api.Task
	results  []api.StoredResult
	reels    api.ReplayState
}

func (a *area) readRun(e *mrev1alpha1.Event, r *mrev1alpha1.Replay) run {
	a.Helper()
	out := run{uid: string(e.UID)}
	var err error
	out.state, err = dataPlane.Event(a.ctx, out.uid)
	a.Expect(err).NotTo(HaveOccurred())
	out.segments, err = dataPlane.Segments(a.ctx, out.uid)
	a.Expect(err).NotTo(HaveOccurred())
	out.clips, err = dataPlane.Clips(a.ctx, out.uid)
	a.Expect(err).NotTo(HaveOccurred())
	out.units, err = dataPlane.Units(a.ctx, out.uid)
	a.Expect(err).NotTo(HaveOccurred())
	out.tasks, err = dataPlane.Tasks(a.ctx, out.uid)
	a.Expect(err).NotTo(HaveOccurred())
	out.results, err = dataPlane.Results(a.ctx, out.uid, "")
	a.Expect(err).NotTo(HaveOccurred())
	if r != nil {
		out.reels, err = dataPlane.Replay(a.ctx, string(r.UID))
		a.Expect(err).NotTo(HaveOccurred())
	}
	return out
}

// download fetches an object of the Event into the test's folder.
func (a *area) download(uid, location string) string {
	a.Helper()
	file := filepath.Join(a.TempDir(), filepath.Base(location))
	a.Expect(cluster.Download(a.ctx, dataPlane, uid, location, file)).To(Succeed())
	return file
}

// checkMoments holds the segments against the script: every moment lies in exactly one, and none lacks a moment.
func (a *area) checkMoments(segments []api.Segment, truth match.Truth) {
	a.Helper()
	holding := func(m match.Moment) (ids []string) {
		for _, s := range segments {
			if s.Out != nil && s.In.Frame <= m.Frame && m.Frame < s.Out.Frame {
				ids = append(ids, s.ID)
			}
		}
		return ids
	}
	used := map[string]bool{}
	for _, moment := range truth.Moments {
		ids := holding(moment)
		a.Expect(ids).To(HaveLen(1), "segments that hold the %s at frame %d", moment.Label, moment.Frame)
		used[ids[0]] = true
	}
	for _, s := range segments {
		a.Expect(used).To(HaveKey(s.ID), "segment %s from frame %d holds no moment", s.ID, s.In.Frame)
	}
}

// checkClips decodes every clip: its frames, by the numbers in them, are those between its marks.
func (a *area) checkClips(r run, m match.Match) {
	a.Helper()
	marks := map[string][2]int64{}
	for _, s := range r.segments {
		a.Expect(s.Out).NotTo(BeNil(), "segment %s is open", s.ID)
		marks[fmt.Sprintf("%s original", s.ID)] = [2]int64{s.In.Frame, s.Out.Frame}
		for _, o := range s.Optimized {
			marks[fmt.Sprintf("%s optimized", s.ID)] = [2]int64{o.In.Frame, o.Out.Frame}
		}
	}
	a.Expect(r.clips).To(HaveLen(len(marks)), "an original and an optimized clip of every segment")
	for _, c := range r.clips {
		name := fmt.Sprintf("%s %s", c.SegmentID, c.Variant)
		a.Expect(c.State).To(Equal(api.ClipStateRendered), name)
		a.Expect([2]int64{c.In.Frame, c.Out.Frame}).To(Equal(marks[name]), "marks of clip %s", name)
		file := a.download(r.uid, *c.Location)
		a.checkFrames(file, m.Layout(), frameRange(c.In.Frame, c.Out.Frame))
		a.checkAudio(file, r.state.Timeline.Rate)
		a.Expect(c.Thumbnail).NotTo(BeNil(), "thumbnail of clip %s", name)
	}
}

// checkReels decodes every reel: its frames are those of the segments that were taken, in order.
func (a *area) checkReels(r run, m match.Match) {
	a.Helper()
	var want []int
	for _, d := range r.reels.Decisions {
		if d.Taken {
			a.Expect(d.In).NotTo(BeNil(), "mark of %s", d.SegmentID)
			a.Expect([2]int64{d.In.Frame, d.Out.Frame}).To(Equal(bestMarks(r.segments, d.SegmentID)), "marks of %s", d.SegmentID)
			want = append(want, frameRange(d.In.Frame, d.Out.Frame)...)
		}
	}
	a.Expect(want).NotTo(BeEmpty(), "the Replay took no segment")
	a.Expect(r.reels.Outputs).To(HaveLen(2))
	for _, reel := range r.reels.Outputs {
		a.Expect(reel.State).To(Equal(api.ReelStateStateRendered), reel.Resolution)
		layout := m.Layout()
		_, err := fmt.Sscanf(reel.Resolution, "%dx%d", &layout.Width, &layout.Height)
		a.Expect(err).NotTo(HaveOccurred())
		file := a.download(r.uid, *reel.Location)
		a.checkFrames(file, layout, want)
		a.checkAudio(file, r.state.Timeline.Rate)
		a.Expect(reel.Proof.Frames).To(Equal(int64(len(want))), "promised frames of %s", reel.Resolution)
	}
}

// bestMarks are the optimizer's marks where there are some.
func bestMarks(segments []api.Segment, id string) [2]int64 {
	for _, s := range segments {
		if s.ID != id {
			continue
		}
		if len(s.Optimized) > 0 {
			return [2]int64{s.Optimized[0].In.Frame, s.Optimized[0].Out.Frame}
		}
		return [2]int64{s.In.Frame, s.Out.Frame}
	}
	return [2]int64{-1, -1}
}

func frameRange(in, out int64) []int {
	numbers := make([]int, 0, out-in)
	for f := in; f < out; f++ {
		numbers = append(numbers, int(f))
	}
	return numbers
}

// checkFrames reads the number in every picture.
func (a *area) checkFrames(file string, layout match.Layout, want []int) {
	a.Helper()
	got, err := match.ReadFrameNumbers(a.ctx, file, layout)
	a.Expect(err).NotTo(HaveOccurred())
	if !slices.Equal(got, want) {
		a.Errorf("%s shows frames %s, not %s", filepath.Base(file), ranges(got), ranges(want))
	}
}

// checkAudio wants the sound to be as long as the picture, to a frame, and both to decode clean.
func (a *area) checkAudio(file string, rate api.Rational) {
	a.Helper()
	media, err := frames.Decode(a.ctx, file)
	a.Expect(err).NotTo(HaveOccurred())
	a.Expect(media.SampleRate).To(BeNumerically(">", 0), "%s has no sound", file)
	// One frame lasts den/num seconds; both sides are multiplied by num and the sample rate.
	picture := int64(len(media.Video)) * rate.Den * media.SampleRate
	sound := media.AudioSamples * rate.Num
	a.Expect(sound).To(BeNumerically("~", picture, rate.Den*media.SampleRate),
		"%s: %d samples at %d Hz for %d frames", filepath.Base(file), media.AudioSamples, media.SampleRate, len(media.Video))
}

// ranges writes 1,2,3,7,8 as 1-3 7-8.
func ranges(numbers []int) string {
	text := ""
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		text += fmt.Sprintf("%d-%d ", numbers[i], numbers[j])
		i = j + 1
	}
	return text
}
