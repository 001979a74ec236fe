// SPDX-License-Identifier: Apache-2.0

package builtin

import (
	"fmt"
	"math"
	"sort"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// keyMoment makes a segment around each detection of its dependencies: from
// preRollSeconds before its start to postRollSeconds after its end. Moments
// closer than mergeGapSeconds become one segment.
//
// A decision is taken once no later detection can change it. A detection is
// reported with the chunk in which it ends, so it may have started up to
// settleSeconds before that chunk; whatever lies further back is settled.
// This makes the segments the same for every chunk size.
type keyMoment struct{}

func (keyMoment) Class() api.PlanPluginClass                 { return api.PlanPluginClassSegmenter }
func (keyMoment) MediaTypes() []api.PlanPluginMediaType      { return onlyVideo }
func (keyMoment) LookbackChunks(map[string]any, int32) int32 { return 0 }
func (keyMoment) Outputs() []string                          { return []string{"KeyMoment", "Triggers"} }

type keyMomentConfig struct {
	features                            []feature
	pre, post, gap, least, most, settle int64
}

func (keyMoment) parse(config map[string]any) (keyMomentConfig, error) {
	r := read(config)
	c := keyMomentConfig{
		features: r.features("attributes"),
		// The data plane hands over results that started up to a minute
		// before what is still undecided: no roll may be longer.
		pre:  r.micros("preRollSeconds", 5, 0, 60),
		post: r.micros("postRollSeconds", 8, 0, 60),
		gap:  r.micros("mergeGapSeconds", 1, 0, 60),
		// The two lengths have no upper bound of their own: the Profile's
		// maxSegmentSeconds holds in any case.
		least: r.micros("minSeconds", 0, 0, 86400),
		most:  r.micros("maxSeconds", 86400, 0.1, 86400),
		// 12 s cover audio-peaks as it is by default.
		settle: r.micros("settleSeconds", 12, 0, 60),
	}
	if c.least > c.most {
		r.fail("minSeconds", "it is larger than maxSeconds")
	}
	return c, r.err()
}

func (k keyMoment) Validate(config map[string]any) error {
	_, err := k.parse(config)
	return err
}

// Segment is one step over a chunk, or the final one.
func (k keyMoment) Segment(in api.SegmenterInput) ([]api.SegmentUpdate, error) {
	c, err := k.parse(in.Plugin.Configuration)
	if err != nil {
		return nil, err
	}
	if in.MaxSegmentMicros > 0 {
		c.most = min(c.most, in.MaxSegmentMicros)
		c.least = min(c.least, c.most)
	}
	if in.Final && !ended(in.Timeline) {
		return nil, fmt.Errorf("final pass without the number of frames of the source")
	}
	s := &steps{keyMomentConfig: c, clock: in.Timeline.ClosedClock(),
		done: in.PreviousEndMicros, open: in.Open, horizon: math.MaxInt64}
	// The clock that snaps does not clamp: a mark may lie beyond the frames
	// known so far, and a segment closed early must equal one closed late.
	s.end = math.MaxInt64
	if in.Final {
		s.end = s.clock.End().Micros
	} else {
		s.horizon = in.Chunk.EndMicros - c.settle - c.pre
	}
	s.clock.Frames = timeline.Open
	s.found = pick(in.Dependencies, c.features)
	sort.Slice(s.found, func(i, j int) bool {
		a, b := s.found[i], s.found[j]
		if a.start != b.start {
			return a.start < b.start
		}
		if a.end != b.end {
			return a.end < b.end
		}
		return a.trigger < b.trigger
	})
	for s.next() {
	}
	return s.out, nil
}

// steps is the state while segments are decided, one after the other.
type steps struct {
	keyMomentConfig
	clock timeline.Timeline
	found []detection
	// done is the end of the last complete segment.
	done int64
	// open is the segment that an earlier chunk opened.
	open *api.Segment
	// horizon: no later detection has a moment that starts before it.
	horizon int64
	// end is the end of the media, when it is known.
	end int64
	out []api.SegmentUpdate
}

// moment is the merged stretch of the detections that come next.
type moment struct{ from, to int64 }

// earliest finds the first moment among the detections that no complete
// segment shows yet.
func (s *steps) earliest() (moment, bool) {
	var spans []moment
	for _, d := range s.found {
		if max(d.end, d.start+1) > s.done {
			spans = append(spans, moment{d.start - s.pre, d.end + s.post})
		}
	}
	if len(spans) == 0 {
		return moment{}, false
	}
	sort.Slice(spans, func(i, j int) bool { return spans[i].from < spans[j].from })
	m := spans[0]
	for _, span := range spans[1:] {
		if span.from > m.to+s.gap {
			break
		}
		m.to = max(m.to, span.to)
	}
	return m, true
}

// next decides one segment as far as it can be. It says whether there may be
// another.
func (s *steps) next() bool {
	m, ok := s.earliest()
	if !ok {
		return s.closeOrphan()
	}
	from, to := s.snap(max(m.from, s.done, 0)), s.snap(m.to)
	if s.open != nil {
		from = s.open.In.Micros
		to = max(to, from)
	}
	startSettled := s.open != nil || m.from <= s.horizon

	if limit := s.snap(from + s.most); to > limit {
		// Once the horizon has passed the limit, everything in the segment
		// is known.
		if startSettled && limit < s.horizon {
			return s.close(from, min(limit, s.end), api.SegmentUpdateCloseReasonMaxSegmentLength)
		}
	} else if m.to+s.gap < s.horizon {
		reason := api.SegmentUpdateCloseReasonDetected
		if to > s.end {
			reason = api.SegmentUpdateCloseReasonSourceEnded
		}
		if s.open == nil {
			from, to = s.extend(from, to)
		}
		return s.close(from, min(to, s.end), reason)
	}
	// A segment's start is published once neither a detection nor the
	// minimum length can move it.
	if s.open == nil && startSettled && to-from >= s.least {
		s.out = append(s.out, api.SegmentUpdate{StartMicros: from, Attributes: s.attributes(from, to)})
	}
	return false
}

// extend makes a moment as long as minSeconds, to both sides alike; what does
// not fit before it goes after it.
func (s *steps) extend(from, to int64) (int64, int64) {
	missing := s.least - (to - from)
	if missing <= 0 {
		return from, to
	}
	start := s.snap(max(from-missing/2, s.done, 0))
	return start, s.snap(start + s.least)
}

func (s *steps) close(from, to int64, reason api.SegmentUpdateCloseReason) bool {
	if to <= from {
		// Nothing is left of it within the media; go on behind it.
		s.done = max(s.done, to, from+1)
		return true
	}
	update := api.SegmentUpdate{StartMicros: from, EndMicros: &to,
		CloseReason: &reason, Attributes: s.attributes(from, to)}
	if s.open != nil {
		update.ID = &s.open.ID
	}
	s.out = append(s.out, update)
	s.done, s.open = to, nil
	return true
}

// closeOrphan ends an open segment whose detections are not among the input:
// that of another configuration, or results that were withdrawn.
func (s *steps) closeOrphan() bool {
	if s.open == nil {
		return false
	}
	from := s.open.In.Micros
	limit := s.snap(from + s.most)
	if limit >= s.horizon && s.end == math.MaxInt64 {
		return false
	}
	reason := api.SegmentUpdateCloseReasonMaxSegmentLength
	if s.end < limit {
		limit, reason = s.end, api.SegmentUpdateCloseReasonSourceEnded
	}
	return s.close(from, limit, reason)
}

// attributes say why there is a segment: what was detected in it.
func (s *steps) attributes(from, to int64) map[string]any {
	seen := map[string]bool{}
	for _, d := range s.found {
		if d.start < to && max(d.end, d.start+1) > from {
			seen[d.trigger] = true
		}
	}
	triggers := make([]string, 0, len(seen))
	for t := range seen {
		triggers = append(triggers, t)
	}
	sort.Strings(triggers)
	return map[string]any{"KeyMoment": true, "Triggers": triggers}
}

func (s *steps) snap(us int64) int64 { return s.clock.Snap(us).Micros }
