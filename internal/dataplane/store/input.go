// SPDX-License-Identifier: Apache-2.0

package store

import (
	"database/sql"
	"encoding/json"
	"errors"
	"math"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// segmenterLookback is how far before the open segment's start, or the last
// one's end, a segmenter sees results. Detectors report ranges up to a minute.
const segmenterLookback = 60 * microsPerSecond

// input is all that the holder of a task needs. It depends on the task alone
// and not on when it is taken, so that a second attempt sees the same.
func (e *eventTx) input(t *taskRow) (in api.TaskInput, err error) {
	switch t.kind {
	case api.TaskKindFramer:
		in.Framer, err = e.framerInput(t)
	case api.TaskKindFeaturer:
		in.Featurer, err = e.featurerInput(t)
	case api.TaskKindSegmenter, api.TaskKindFinal:
		in.Segmenter, err = e.segmenterInput(t)
	case api.TaskKindOptimizer:
		in.Optimizer, err = e.optimizerInput(t)
	case api.TaskKindLabeler:
		in.Labeler, err = e.labelerInput(t)
	case api.TaskKindClip:
		in.Clip, err = e.clipInput(t)
	case api.TaskKindReel:
		in.Reel, err = e.reelInput(t)
	}
	return in, err
}

func (e *eventTx) framerInput(t *taskRow) (*api.FramerInput, error) {
	chunk, err := chunkExtent(e.ctx, e, e.ev.uid, t.chunk)
	if err != nil {
		return nil, err
	}
	in := &api.FramerInput{Chunk: chunk, Timeline: e.timelineOf(chunk)}
	if in.Units, err = e.unitsCovering(chunk.FirstFrame, chunk.FirstFrame+chunk.Frames); err != nil {
		return nil, err
	}
	if chunk.FirstFrame == 0 {
		return in, nil
	}
	before, err := e.unitsCovering(chunk.FirstFrame-1, chunk.FirstFrame)
	if errors.Is(err, ErrConflict) {
		return in, nil // what came before was given up
	}
	if err != nil {
		return nil, err
	}
	in.PreviousUnit = &before[len(before)-1]
	return in, nil
}

// timelineOf is the timeline as far as a chunk reaches.
func (e *eventTx) timelineOf(chunk api.ChunkExtent) api.Timeline {
	end := chunk.FirstFrame + chunk.Frames
	t := e.ev.timelineUpTo(end, e.ev.sourceEnded && end == e.ev.sourceFrames)
	t.Anchors = e.anchorsUpTo(end)
	return t
}

// timelineAt is the timeline as far as the chunk with a number reaches.
func (e *eventTx) timelineAt(number int64) (api.Timeline, error) {
	chunk, err := chunkExtent(e.ctx, e, e.ev.uid, number)
	if err != nil {
		return api.Timeline{}, err
	}
	return e.timelineOf(chunk), nil
}

func (e *eventTx) featurerInput(t *taskRow) (*api.FeaturerInput, error) {
	chunk, err := chunkExtent(e.ctx, e, e.ev.uid, t.chunk)
	if err != nil {
		return nil, err
	}
	q := e.plan.byName[t.plugin]
	in := &api.FeaturerInput{Plugin: *q, Track: t.track, Chunk: chunk,
		Timeline: e.timelineOf(chunk), Dependencies: []api.PluginResults{}}
	if in.Signals, err = e.signalsOf(t, q); err != nil {
		return nil, err
	}
	for _, d := range q.DependsOn {
		list, err := e.resultsOf(d, dependencyTrack(e.plan, t, d),
			span{first: t.chunk, last: t.chunk, from: 0, to: math.MaxInt64})
		if err != nil {
			return nil, err
		}
		in.Dependencies = append(in.Dependencies, list...)
	}
	return in, nil
}

// signalsOf are what framers found in a featurer's chunk and those that it
// looks back to. A plugin in a container reads media instead.
func (e *eventTx) signalsOf(t *taskRow, q *api.PlanPlugin) ([]api.ChunkSignals, error) {
	if !readsSignals(q) {
		return []api.ChunkSignals{}, nil
	}
	return collect(e.ctx, e, func(r *sql.Rows) (s api.ChunkSignals, err error) {
		var body string
		err = r.Scan(&s.Chunk.Number, &s.Chunk.StartMicros, &s.Chunk.EndMicros, &s.Chunk.FirstFrame, &s.Chunk.Frames, &body)
		s.Signals = json.RawMessage(body)
		return s, err
	}, `SELECT c.number, c.start_us, c.end_us, c.first_frame, c.frames, s.signals FROM signals s
		JOIN chunks c ON c.event_uid = s.event_uid AND c.number = s.chunk
		WHERE s.event_uid = $1 AND s.chunk >= $2 AND s.chunk <= $3 ORDER BY s.chunk`,
		e.ev.uid, t.chunk-int64(q.LookbackChunks), t.chunk)
}

func (e *eventTx) segmenterInput(t *taskRow) (*api.SegmenterInput, error) {
	chunk, err := chunkExtent(e.ctx, e, e.ev.uid, t.chunk)
	if err != nil {
		return nil, err
	}
	in := &api.SegmenterInput{
		Plugin: *e.plan.byName[t.plugin], Chunk: chunk, Timeline: e.timelineOf(chunk),
		MaxSegmentMicros: e.plan.maxSegmentMicros(), Final: t.kind == api.TaskKindFinal, Dependencies: []api.PluginResults{},
	}
	previous, err := lastComplete(e.ctx, e, e.ev.uid)
	if err != nil {
		return nil, err
	}
	if previous != nil {
		plain, err := plainSegments([]*segmentRow{previous})
		if err != nil {
			return nil, err
		}
		in.Previous, in.PreviousEndMicros = &plain[0], previous.outUs.Int64
	}
	since := in.PreviousEndMicros
	rows, err := openSegments(e.ctx, e, e.ev.uid)
	if err != nil {
		return nil, err
	}
	for i, s := range rows {
		w, err := s.wire()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			since = s.in.Micros
		}
		if i < len(rows)-1 {
			in.AlsoOpen = append(in.AlsoOpen, w)
		} else {
			in.Open = &w
		}
	}
	for _, d := range e.plan.dependencies(t.plugin) {
		list, err := e.resultsOf(d, anyTrack,
			span{last: t.chunk, from: since - segmenterLookback, to: math.MaxInt64, byStart: true})
		if err != nil {
			return nil, err
		}
		in.Dependencies = append(in.Dependencies, list...)
	}
	return in, nil
}

func (e *eventTx) optimizerInput(t *taskRow) (*api.OptimizerInput, error) {
	rows, err := claimed(e, t)
	if err != nil {
		return nil, err
	}
	in := &api.OptimizerInput{Plugin: *e.plan.byName[t.plugin], Track: t.track}
	horizon, err := e.horizon(t)
	if err != nil {
		return nil, err
	}
	if in.Timeline, err = e.timelineAt(horizon); err != nil {
		return nil, err
	}
	if in.Segments, err = plainSegments(rows); err != nil {
		return nil, err
	}
	if in.Neighbours, err = e.neighbours(rows, horizon); err != nil {
		return nil, err
	}
	in.Dependencies, err = e.resultsAround(t, rows, horizon, e.plan.optimizerWindow())
	return in, err
}

// neighbours are the segments before and after each claimed one that are not
// claimed themselves. What happened to them beyond the horizon is left out.
func (e *eventTx) neighbours(rows []*segmentRow, horizon int64) ([]api.Segment, error) {
	before, err := e.segmentBefore(rows[0])
	if err != nil {
		return nil, err
	}
	for _, s := range before {
		s.label, s.labelCode, s.labelAttrs = "", "", ""
		s.hideClose(horizon)
	}
	out, err := wireSegments(e.ctx, e, e.ev.uid, before)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].State == api.SegmentStateOpen { // nor was it optimized yet
			out[i].Optimized = []api.SegmentOptimized{}
		}
	}
	after, err := e.segmentAfter(rows[len(rows)-1], horizon)
	if err != nil {
		return nil, err
	}
	for _, s := range after {
		s.hideClose(horizon)
	}
	plain, err := plainSegments(after)
	return append(out, plain...), err
}

// hideClose makes a segment one that is open again, when a chunk beyond the
// horizon closed it.
func (s *segmentRow) hideClose(horizon int64) {
	if s.closedChunk.Valid && s.closedChunk.Int64 > horizon {
		s.state, s.closedChunk, s.outFrame = api.SegmentStateOpen, sql.NullInt64{}, sql.NullInt64{}
		s.closeReason, s.completedAt = "", sql.NullInt64{}
	}
}

// plainSegments are segments as their segmenter left them.
func plainSegments(rows []*segmentRow) ([]api.Segment, error) {
	out := make([]api.Segment, 0, len(rows))
	for _, r := range rows {
		w, err := r.wire()
		if err != nil {
			return nil, err
		}
		w.Label, w.LabelCode, w.MarkVersion = "", "", 1
		out = append(out, w)
	}
	return out, nil
}

func (e *eventTx) labelerInput(t *taskRow) (*api.LabelerInput, error) {
	rows, err := claimed(e, t)
	if err != nil {
		return nil, err
	}
	in := &api.LabelerInput{Plugin: *e.plan.byName[t.plugin]}
	horizon, err := e.horizon(t)
	if err != nil {
		return nil, err
	}
	if in.Timeline, err = e.timelineAt(horizon); err != nil {
		return nil, err
	}
	if in.Segments, err = plainSegments(rows); err != nil {
		return nil, err
	}
	in.Dependencies, err = e.resultsAround(t, rows, horizon, 0)
	return in, err
}

// resultsAround are the results of a claim's dependencies that touch its
// segments, give or take a window.
func (e *eventTx) resultsAround(t *taskRow, rows []*segmentRow, horizon, window int64) ([]api.PluginResults, error) {
	s := span{last: horizon, from: math.MaxInt64}
	for _, r := range rows {
		s.from = min(s.from, r.in.Micros-window)
		s.to = max(s.to, r.outUs.Int64+window)
	}
	out := []api.PluginResults{}
	for _, d := range e.plan.dependencies(t.plugin) {
		list, err := e.resultsOf(d, anyTrack, s)
		if err != nil {
			return nil, err
		}
		out = append(out, list...)
	}
	return out, nil
}

// span chooses results: of chunks first to last, that touch the time from..to,
// or start in it.
type span struct {
	first, last int64
	from, to    int64
	byStart     bool
}

// resultsOf are a dependency's published results, one entry for each track
// that it ran on, also when it found nothing.
func (e *eventTx) resultsOf(plugin string, track int32, s span) ([]api.PluginResults, error) {
	tracks := e.tracksOf(e.plan.byName[plugin])
	if track != anyTrack {
		tracks = []int32{track}
	}
	bound := `end_us >= $5`
	if s.byStart {
		bound = `start_us >= $5`
	}
	// A result ends with its chunk at the latest, so earlier chunks have none that reach so far.
	if s.from > 0 {
		earliest, err := chunkAt(e.ctx, e, e.ev.uid, s.from)
		if err != nil {
			return nil, err
		}
		s.first = max(s.first, earliest)
	}
	var out []api.PluginResults
	for _, k := range tracks {
		list, err := collect(e.ctx, e, scanResult, `SELECT `+resultColumns+` FROM results
			WHERE event_uid = $1 AND plugin = $2 AND track = $3
			AND chunk >= $4 AND `+bound+` AND start_us <= $6 AND chunk <= $7 AND state = 'published'
			ORDER BY start_us, chunk, ordinal`,
			e.ev.uid, plugin, k, s.first, s.from, s.to, s.last)
		if err != nil {
			return nil, err
		}
		if list == nil {
			list = []api.Result{}
		}
		out = append(out, api.PluginResults{Plugin: plugin, Track: k, Results: list})
	}
	return out, nil
}

const resultColumns = `start_frame, start_ticks, start_us, end_frame, end_ticks, end_us, attributes`

func scanResult(rows *sql.Rows) (api.Result, error) {
	r := api.Result{Attributes: map[string]any{}}
	var attributes string
	if err := rows.Scan(&r.Start.Frame, &r.Start.Ticks, &r.Start.Micros, &r.End.Frame,
		&r.End.Ticks, &r.End.Micros, &attributes); err != nil {
		return r, err
	}
	return r, fromJSON(attributes, &r.Attributes)
}

func (e *eventTx) clipInput(t *taskRow) (*api.ClipInput, error) {
	c, err := clipOf(e, t)
	if err != nil {
		return nil, err
	}
	mp4, jpg := e.clipKeys(t, c)
	in := &api.ClipInput{
		SegmentID: c.segment, Variant: api.ClipVariant(c.variant), Track: c.track, MarkVersion: c.version, In: c.in,
		Out: c.out, Timeline: *e.ev.wireTimeline(), AudioChannels: e.plan.AudioChannels,
		Thumbnail: e.plan.Clips.Thumbnails, Mp4: upload(mp4),
	}
	if in.Thumbnail {
		u := upload(jpg)
		in.Jpg = &u
	}
	in.Units, err = e.unitsToRender(c.in, c.out)
	return in, err
}

// upload names an object that is to be written; the server signs it.
func upload(key string) api.Upload { return api.Upload{Key: key, Headers: map[string]string{}} }
