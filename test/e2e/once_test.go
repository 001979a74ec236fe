// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/gomega"
)

// checkOnce wants that nothing is there twice: no unit, segment, clip, result or task, and that units and
// segments do not overlap.
func (a *area) checkOnce(r run) {
	a.Helper()
	seen := map[string]bool{}
	once := func(format string, args ...any) {
		a.Helper()
		name := fmt.Sprintf(format, args...)
		a.Expect(seen).NotTo(HaveKey(name), "it is there twice")
		seen[name] = true
	}
	next := int64(0)
	for _, u := range r.units {
		once("unit %s", u.Key)
		once("unit with payload %s", u.PayloadSHA256)
		a.Expect(u.FirstFrame).To(Equal(next), "first frame of unit %s", u.Key)
		next = u.FirstFrame + u.Frames
	}
	a.Expect(r.state.Timeline.Frames).To(HaveValue(Equal(next)), "frames of all units")
	end := int64(0)
	for _, s := range r.segments {
		once("segment %s", s.ID)
		a.Expect(s.In.Frame).To(BeNumerically(">=", end), "segment %s overlaps the one before", s.ID)
		end = s.Out.Frame
	}
	for _, c := range r.clips {
		once("clip %s %s %d", c.SegmentID, c.Variant, c.Track)
		once("object %s", *c.Location)
	}
	for _, result := range r.results {
		attributes, err := json.Marshal(result.Result.Attributes)
		a.Expect(err).NotTo(HaveOccurred())
		once("result of %s, track %d, %d to %d: %s", result.Plugin, result.Track,
			result.Result.Start.Frame, result.Result.End.Frame, attributes)
	}
	for _, t := range r.tasks {
		once("task %s %d %s %d %s", t.Kind, t.Chunk, t.Plugin, t.Track, t.Subject)
	}
}

// checkBucket wants that, once the sweeper has run, every object of the Event is one that a row names, and
// that every row's object is there.
func (a *area) checkBucket(r run) {
	a.Helper()
	var want []string
	add := func(location *string) {
		if location != nil {
			key, err := bucket.KeyOf(*location)
			a.Expect(err).NotTo(HaveOccurred())
			want = append(want, key)
		}
	}
	for _, u := range r.units {
		want = append(want, u.Key)
	}
	for _, c := range r.clips {
		add(c.Location)
		add(c.Thumbnail)
	}
	for _, reel := range r.reels.Outputs {
		add(reel.Location)
		add(reel.Thumbnail)
	}
	add(r.state.ExportLocation)
	for i := range r.state.EdlLocations {
		add(&r.state.EdlLocations[i])
	}
	a.Eventually(func() ([]string, error) { return bucket.Keys(a.ctx, a.namespace+"/"+r.uid+"/") },
		sweepAge+2*time.Minute, 5*time.Second).Should(ConsistOf(want), "objects of the Event")
}

// kinds of objects that a deleted Event has left, by the folder they are in.
func (a *area) leftovers(uid string) (map[string]int, error) {
	prefix := a.namespace + "/" + uid + "/"
	keys, err := bucket.Keys(a.ctx, prefix)
	if err != nil {
		return nil, err
	}
	left := map[string]int{}
	for _, key := range keys {
		kind, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		left[kind]++
	}
	return left, nil
}
