// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
)

// settleMarks makes the marks of complete segments final as soon as the frames
// up to the mark-out are stored, and plans their clips. A mark-out past the
// end of the source becomes the source's end.
func (e *eventTx) settleMarks() error {
	pending, err := one[int64](e.ctx, e, `SELECT (SELECT COUNT(*) FROM segments
		WHERE event_uid = $1 AND state = 'Complete' AND marks_final = 0)
		+ (SELECT COUNT(*) FROM segment_marks WHERE event_uid = $1 AND applied = 1 AND marks_final = 0)`, e.ev.uid)
	if err != nil || pending == 0 {
		return err
	}
	segments, err := selectSegments(e.ctx, e, `event_uid = $1 AND state = 'Complete'
		AND marks_final = 0 ORDER BY in_us, id`, e.ev.uid)
	if err != nil {
		return err
	}
	for _, s := range segments {
		out, final := e.finalOut(s.out())
		if !final {
			continue
		}
		if _, err := e.exec(`UPDATE segments SET marks_final = 1, out_frame = $3, out_ticks = $4, out_us = $5
			WHERE event_uid = $1 AND id = $2`,
			e.ev.uid, s.id, out.Frame, out.Ticks, out.Micros); err != nil {
			return err
		}
		if e.plan.Clips.Original {
			if err := e.planClips(s.id, s.closedChunk.Int64, api.ClipVariantOriginal,
				e.audioTracks(), 1, s.in, out); err != nil {
				return err
			}
		}
	}
	marks, err := selectOptimized(e.ctx, e, `event_uid = $1 AND applied = 1 AND marks_final = 0
		ORDER BY segment_id, track`, e.ev.uid)
	if err != nil {
		return err
	}
	for _, m := range marks {
		out, final := e.finalOut(m.Out)
		if !final {
			continue
		}
		if out.Frame <= m.In.Frame {
			if _, err := e.exec(`UPDATE segment_marks SET applied = 0, start_code = $5, end_code = $5
				WHERE event_uid = $1 AND segment_id = $2 AND source = 'optimizer' AND track = $3 AND version = $4`,
				e.ev.uid, m.segment, m.Track, m.version, codeBeyondEnd); err != nil {
				return err
			}
			continue
		}
		if _, err := e.exec(`UPDATE segment_marks SET marks_final = 1, out_frame = $5, out_ticks = $6, out_us = $7
			WHERE event_uid = $1 AND segment_id = $2 AND source = 'optimizer' AND track = $3 AND version = $4`,
			e.ev.uid, m.segment, m.Track, m.version, out.Frame, out.Ticks, out.Micros); err != nil {
			return err
		}
		if !e.plan.Clips.Optimized {
			continue
		}
		tracks := []int32{m.Track}
		if m.Track == 0 {
			tracks = e.audioTracks()
		}
		chunk, err := one[int64](e.ctx, e, `SELECT closed_chunk FROM segments
			WHERE event_uid = $1 AND id = $2`, e.ev.uid, m.segment)
		if err != nil {
			return err
		}
		if err := e.planClips(m.segment, chunk, api.ClipVariantOptimized, tracks, m.version, m.In, out); err != nil {
			return err
		}
	}
	return nil
}

// finalOut clamps a mark-out to a known end and says whether the frames before
// it are stored.
func (e *eventTx) finalOut(out api.Mark) (api.Mark, bool) {
	if e.ev.sourceEnded && out.Frame > e.ev.sourceFrames {
		out = e.markAt(e.ev.sourceFrames)
	}
	return out, out.Frame <= e.ev.frames
}

// audioTracks are the tracks for which there is a clip: each audio track, or 0
// where there is no audio.
func (e *eventTx) audioTracks() []int32 {
	if len(e.ev.timeline.AudioTracks) == 0 {
		return []int32{0}
	}
	var out []int32
	for _, a := range e.ev.timeline.AudioTracks {
		out = append(out, a.Track)
	}
	return out
}

// planClips plans a clip and its task for each track. The task has the chunk
// that closed the segment, so that earlier clips are rendered first.
func (e *eventTx) planClips(segment string, chunk int64, variant api.ClipVariant,
	tracks []int32, version int32, in, out api.Mark) error {
	for _, track := range tracks {
		t := &taskRow{kind: api.TaskKindClip, chunk: chunk, track: track,
			subject: fmt.Sprintf("%s/%s/m%d", segment, variant, version), state: api.TaskStateReady}
		if err := e.insertTask(t); err != nil {
			return err
		}
		if _, err := e.exec(`INSERT INTO clips (event_uid, segment_id, variant, track, mark_version, state, task_id,
			in_frame, in_ticks, in_us, out_frame, out_ticks, out_us)
			VALUES ($1, $2, $3, $4, $5, 'Pending', $6, $7, $8, $9, $10, $11, $12)`,
			e.ev.uid, segment, string(variant), track, version, t.id, in.Frame, in.Ticks, in.Micros,
			out.Frame, out.Ticks, out.Micros); err != nil {
			return err
		}
	}
	return nil
}

// clipRow is a row of clips, by its task.
type clipRow struct {
	segment, variant string
	track, version   int32
	in, out          api.Mark
}

func clipOf(e *eventTx, t *taskRow) (*clipRow, error) {
	var c clipRow
	err := e.QueryRowContext(e.ctx, `SELECT segment_id, variant, track, mark_version, in_frame,
		in_ticks, in_us, out_frame, out_ticks, out_us
		FROM clips WHERE task_id = $1`, t.id).Scan(&c.segment, &c.variant, &c.track, &c.version,
		&c.in.Frame, &c.in.Ticks, &c.in.Micros, &c.out.Frame, &c.out.Ticks, &c.out.Micros)
	if err != nil {
		return nil, fmt.Errorf("read the clip of task %d: %w", t.id, err)
	}
	return &c, nil
}

// clipKeys are the names under which the current attempt stores a clip.
func (e *eventTx) clipKeys(t *taskRow, c *clipRow) (mp4, jpg string) {
	return keys.Clip(e.ev.namespace, e.ev.uid,
		keys.ClipFile{Segment: c.segment, Variant: c.variant, Track: c.track, MarkVersion: c.version, Attempt: t.leases})
}

// publishClip stores where a clip is, when it has exactly its segment's frames.
func (e *eventTx) publishClip(t *taskRow, proof *api.MediaProof) error {
	c, err := clipOf(e, t)
	if err != nil {
		return err
	}
	mp4, jpg := e.clipKeys(t, c)
	if !e.plan.Clips.Thumbnails {
		jpg = ""
	}
	if err := checkProof(proof, mp4, jpg, c.out.Frame-c.in.Frame); err != nil {
		return err
	}
	if err := e.refuseDoomed(mp4); err != nil {
		return err
	}
	body, err := toJSON(proof)
	if err != nil {
		return err
	}
	_, err = e.exec(`UPDATE clips SET state = 'Rendered', object_key = $2, thumbnail_key = $3, proof = $4,
		error = '', rendered_at = $5 WHERE task_id = $1`,
		t.id, mp4, jpg, body, e.now)
	return err
}

// checkProof refuses media that is not what the lease asked for.
func checkProof(p *api.MediaProof, mp4, jpg string, frames int64) error {
	switch {
	case p == nil:
		return invalid("media is missing; a render task reports what it rendered")
	case p.Key != mp4:
		return invalid("media.key is %q; this attempt stores at %q", p.Key, mp4)
	case optionalName(p.ThumbnailKey) != jpg:
		return invalid("media.thumbnailKey is %q; this attempt stores at %q", optionalName(p.ThumbnailKey), jpg)
	case p.Frames != frames:
		return invalid("media.frames is %d; the marks hold exactly %d frames", p.Frames, frames)
	}
	return nil
}

// afterClip notes a clip that will not come.
func (e *eventTx) afterClip(t *taskRow) error {
	if t.state != api.TaskStateFailed {
		return nil
	}
	_, err := e.exec(`UPDATE clips SET state = 'Failed', error = $2 WHERE task_id = $1`, t.id, t.failure)
	return err
}
