// SPDX-License-Identifier: Apache-2.0

package store

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/selection"
)

// reelPart is a selected segment, as a plan stores it.
type reelPart struct {
	SegmentID string   `json:"segmentID"`
	In        api.Mark `json:"in"`
	Out       api.Mark `json:"out"`
}

// planReplay selects the segments of a Replay and plans its reels. A plan with
// another hash takes the place of the one before, whose reels are not rendered
// any more.
func (e *eventTx) planReplay(r *replayRow) error {
	if err := e.changed(api.ChangeKindReplay, r.uid, r.namespace, r.name); err != nil {
		return err
	}
	track, err := reelTrack(e.ev, r.rules.AudioTrack)
	if err != nil {
		return e.supersede(r, "") // Replay says why there is no plan
	}
	marks, candidates, err := e.candidates(r.rules, track)
	if err != nil {
		return err
	}
	rules := selectionRules(r.rules)
	rules.Overlap = e.plan.overlaps()
	chosen := selection.ByDuration(candidates, rules)
	parts := []reelPart{}
	var end api.Mark
	for _, id := range chosen.Selected {
		p := withoutShown(marks[id], end)
		if p.In.Frame < p.Out.Frame {
			parts, end = append(parts, p), p.Out
			marks[id] = p
		}
	}
	decisions := make([]api.Decision, 0, len(chosen.Decisions))
	for _, d := range chosen.Decisions {
		m := marks[d.ID]
		decisions = append(decisions, api.Decision{SegmentID: d.ID, Taken: d.Taken,
			Score: d.Score, Reason: d.Reason, In: &m.In, Out: &m.Out})
	}
	hash, err := planHash(r.rules, track, parts)
	if err != nil {
		return err
	}
	partsText, err := toJSON(parts)
	if err != nil {
		return err
	}
	decisionsText, err := toJSON(decisions)
	if err != nil {
		return err
	}
	if err := e.supersede(r, hash); err != nil {
		return err
	}
	if _, err := e.exec(`INSERT INTO replay_plans (replay_uid, hash, inputs_seq, parts, decisions, duration_us, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (replay_uid, hash) DO UPDATE SET inputs_seq = excluded.inputs_seq, decisions = excluded.decisions`,
		r.uid, hash, e.ev.version, partsText, decisionsText, chosen.DurationMicros, e.now); err != nil {
		return err
	}
	if len(parts) == 0 {
		return nil
	}
	for i, output := range r.rules.Resolutions {
		if err := e.planReel(r, hash, track, i, output); err != nil {
			return err
		}
	}
	return nil
}

// reelTrack is the audio track of a reel: 0 when the Event has no audio.
func reelTrack(ev *eventRow, want int32) (int32, error) {
	if ev.timeline == nil || len(ev.timeline.AudioTracks) == 0 {
		return 0, nil
	}
	n := int32(len(ev.timeline.AudioTracks))
	if want < 1 || want > n {
		return 0, invalid("audioTrack is %d; the Event has audio tracks 1 to %d", want, n)
	}
	return want, nil
}

func selectionRules(rules api.ReplayRules) selection.Rules {
	out := selection.Rules{
		DurationMicros:  int64(rules.ByDuration.DurationSeconds) * microsPerSecond,
		ToleranceMicros: int64(rules.ByDuration.ToleranceSeconds) * microsPerSecond,
		Distribution:    selection.Distribution(rules.ByDuration.Distribution),
	}
	for _, f := range rules.Features {
		out.Features = append(out.Features, selection.Feature{FeatureKey: selection.FeatureKey{Plugin: f.Plugin,
			Attribute: f.Attribute}, Weight: int64(f.Weight)})
	}
	return out
}

// planHash names a plan by what the reel would show.
func planHash(rules api.ReplayRules, track int32, parts []reelPart) (string, error) {
	rules.Generation, rules.AudioTrack = 0, track
	body, err := toJSON(struct {
		Rules api.ReplayRules
		Parts []reelPart
	}{rules, parts})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:]), nil
}

// candidates are the complete segments with their marks and what is true in
// them. The optimizer's marks go before the segmenter's.
func (e *eventTx) candidates(rules api.ReplayRules, track int32) (map[string]reelPart, []selection.Candidate, error) {
	rows, err := selectSegments(e.ctx, e, `event_uid = $1 AND state = 'Complete'
		AND marks_final = 1 ORDER BY in_us, id`, e.ev.uid)
	if err != nil {
		return nil, nil, err
	}
	parts := make(map[string]reelPart, len(rows))
	for _, s := range rows {
		parts[s.id] = reelPart{SegmentID: s.id, In: s.in, Out: s.out()}
	}
	marks, err := selectOptimized(e.ctx, e, `event_uid = $1 AND applied = 1 AND marks_final = 1 AND track IN (0, $2)
		ORDER BY track, version`, e.ev.uid, track)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range marks {
		parts[m.segment] = reelPart{SegmentID: m.segment, In: m.In, Out: m.Out}
	}
	list := make([]selection.Candidate, 0, len(rows))
	var end api.Mark
	for _, s := range rows {
		if !e.plan.overlaps() {
			// An optimized mark-out may reach into a neighbour that was not optimized.
			p := withoutShown(parts[s.id], end)
			if p.In.Frame >= p.Out.Frame {
				continue
			}
			parts[s.id], end = p, p.Out
		}
		c := selection.Candidate{ID: s.id, InMicros: parts[s.id].In.Micros,
			OutMicros: parts[s.id].Out.Micros, Has: map[selection.FeatureKey]bool{}}
		if err := e.ownFeatures(s, c.Has); err != nil {
			return nil, nil, err
		}
		list = append(list, c)
	}
	return parts, list, e.resultFeatures(rules, track, list)
}

// withoutShown is what is left of a part when the frames up to a mark were
// shown already: a reel shows no frame twice.
func withoutShown(p reelPart, end api.Mark) reelPart {
	if p.In.Frame < end.Frame {
		p.In = end
	}
	return p
}

// ownFeatures are the true attributes that the segmenter and the labeler put
// on the segment itself.
func (e *eventTx) ownFeatures(s *segmentRow, has map[selection.FeatureKey]bool) error {
	for plugin, body := range map[string]string{e.plan.Segmenter: s.attributes,
		optionalName(e.plan.Labeler): s.labelAttrs} {
		var attributes map[string]any
		if err := fromJSON(body, &attributes); err != nil {
			return err
		}
		for name, v := range attributes {
			if v == true {
				has[selection.FeatureKey{Plugin: plugin, Attribute: name}] = true
			}
		}
	}
	return nil
}

// resultFeatures adds what the featurers that the rules name found true within
// each segment's range. Of audio plugins only the reel's track counts.
func (e *eventTx) resultFeatures(rules api.ReplayRules, track int32, list []selection.Candidate) error {
	asked := map[string][]string{}
	for _, f := range rules.Features {
		asked[f.Plugin] = append(asked[f.Plugin], f.Attribute)
	}
	type found struct {
		start, end int64
		names      []string
	}
	for plugin, names := range asked {
		results, err := collect(e.ctx, e, func(r *sql.Rows) (f found, err error) {
			var body string
			if err := r.Scan(&f.start, &f.end, &body); err != nil {
				return f, err
			}
			var attributes map[string]any
			err = fromJSON(body, &attributes)
			for _, n := range names {
				if attributes[n] == true {
					f.names = append(f.names, n)
				}
			}
			return f, err
		}, `SELECT start_us, end_us, attributes FROM results WHERE event_uid = $1 AND plugin = $2
			AND track IN (0, $3) AND state = 'published' ORDER BY start_us`,
			e.ev.uid, plugin, track)
		if err != nil {
			return err
		}
		results = slices.DeleteFunc(results, func(f found) bool { return len(f.names) == 0 })
		for _, c := range list {
			for _, f := range results {
				if f.start >= c.OutMicros {
					break
				}
				if f.end > c.InMicros || f.start >= c.InMicros {
					for _, n := range f.names {
						c.Has[selection.FeatureKey{Plugin: plugin, Attribute: n}] = true
					}
				}
			}
		}
	}
	return nil
}

// supersede makes a plan the current one. Reels of another plan that are not
// rendered yet are dropped, and whoever renders one is told to stop.
func (e *eventTx) supersede(r *replayRow, hash string) error {
	if r.planHash != hash {
		if _, err := e.exec(`UPDATE tasks SET state = 'skipped', token = '', error = 'a newer plan took its place',
			finished_at = $2, due_at = 0, lease_expires_at = 0
			WHERE replay_uid = $1 AND `+openStates, r.uid, e.now); err != nil {
			return err
		}
		if _, err := e.exec(`DELETE FROM reels WHERE replay_uid = $1 AND state <> 'Rendered'`, r.uid); err != nil {
			return err
		}
	}
	r.planHash = hash
	_, err := e.exec(`UPDATE replays SET plan_hash = $2 WHERE uid = $1`, r.uid, hash)
	return err
}

// planReel plans a reel that is neither rendered nor planned. The task of an
// earlier time when the same plan was current starts anew.
func (e *eventTx) planReel(r *replayRow, hash string, track int32, ordinal int, output string) error {
	t := &taskRow{kind: api.TaskKindReel, track: track, subject: r.uid + "/" + hash + "/" + output,
		replayUID: r.uid, state: api.TaskStateReady}
	if err := e.insertTask(t); err != nil {
		return err
	}
	id, err := one[int64](e.ctx, e, `SELECT id FROM tasks
		WHERE event_uid = $1 AND kind = 'reel' AND subject = $2`, e.ev.uid, t.subject)
	if err != nil {
		return err
	}
	// Whoever changes a Replay wants what failed to be tried again.
	if _, err := e.exec(`DELETE FROM reels WHERE replay_uid = $1 AND plan_hash = $2 AND output = $3
		AND state = 'Failed'`, r.uid, hash, output); err != nil {
		return err
	}
	n, err := e.exec(`INSERT INTO reels (replay_uid, plan_hash, output, ordinal, state, task_id)
		VALUES ($1, $2, $3, $4, 'Pending', $5)
		ON CONFLICT (replay_uid, plan_hash, output) DO NOTHING`, r.uid, hash, output, ordinal, id)
	if err != nil || n == 0 || id == t.id {
		return err
	}
	_, err = e.exec(`UPDATE tasks SET state = 'ready', attempts = 0, losses = 0, away_since = 0, error = '', ready_at = $2,
		finished_at = NULL WHERE id = $1`, id, e.now)
	return err
}

// reelRow is a reel with its plan, by its task.
type reelRow struct {
	replay, hash, output string
	parts                []reelPart
}

func reelOf(e *eventTx, t *taskRow) (*reelRow, error) {
	var r reelRow
	var parts string
	err := e.QueryRowContext(e.ctx, `SELECT r.replay_uid, r.plan_hash, r.output, p.parts FROM reels r
		JOIN replay_plans p ON p.replay_uid = r.replay_uid AND p.hash = r.plan_hash WHERE r.task_id = $1`, t.id).
		Scan(&r.replay, &r.hash, &r.output, &parts)
	if err != nil {
		return nil, fmt.Errorf("read the reel of task %d: %w", t.id, err)
	}
	return &r, fromJSON(parts, &r.parts)
}

func (e *eventTx) reelInput(t *taskRow) (*api.ReelInput, error) {
	r, err := reelOf(e, t)
	if err != nil {
		return nil, err
	}
	mp4, jpg := keys.Reel(e.ev.namespace, e.ev.uid, r.replay, r.hash, r.output, t.leases)
	in := &api.ReelInput{ReplayUID: r.replay, PlanHash: r.hash, Output: r.output, Track: t.track,
		AudioChannels: e.plan.AudioChannels, Timeline: *e.ev.wireTimeline(), Mp4: upload(mp4), Jpg: upload(jpg)}
	if in.Width, in.Height, err = parseResolution(r.output); err != nil {
		return nil, err
	}
	for _, p := range r.parts {
		units, err := e.unitsToRender(p.In, p.Out)
		if err != nil {
			return nil, err
		}
		in.Parts = append(in.Parts, api.ReelPart{SegmentID: p.SegmentID, In: p.In, Out: p.Out, Units: units})
	}
	return in, nil
}

// publishReel stores where a reel is, when it has exactly its parts' frames.
func (e *eventTx) publishReel(t *taskRow, proof *api.MediaProof) error {
	r, err := reelOf(e, t)
	if err != nil {
		return err
	}
	var frames int64
	for _, p := range r.parts {
		frames += p.Out.Frame - p.In.Frame
	}
	mp4, jpg := keys.Reel(e.ev.namespace, e.ev.uid, r.replay, r.hash, r.output, t.leases)
	if err := checkProof(proof, mp4, jpg, frames); err != nil {
		return err
	}
	if err := e.refuseDoomed(mp4); err != nil {
		return err
	}
	body, err := toJSON(proof)
	if err != nil {
		return err
	}
	_, err = e.exec(`UPDATE reels SET state = 'Rendered', object_key = $2, thumbnail_key = $3, proof = $4,
		error = '', rendered_at = $5 WHERE task_id = $1`,
		t.id, mp4, jpg, body, e.now)
	return err
}

// afterReel notes a reel that will not come, and tells the feed.
func (e *eventTx) afterReel(t *taskRow) error {
	if t.state == api.TaskStateFailed {
		if _, err := e.exec(`UPDATE reels SET state = 'Failed', error = $2 WHERE task_id = $1`, t.id, t.failure); err != nil {
			return err
		}
	}
	r, err := findReplay(e.ctx, e, t.replayUID)
	if err != nil {
		return err
	}
	return e.changed(api.ChangeKindReplay, r.uid, r.namespace, r.name)
}
