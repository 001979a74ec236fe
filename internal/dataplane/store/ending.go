// SPDX-License-Identifier: Apache-2.0

package store

import (
	"cmp"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// reasonWithFailures is the condition reason of a Complete Event that lacks something.
const reasonWithFailures = "CompletedWithFailures"

// judge says how a Complete Event ended: with all that it was to have, or with
// failures, of what and how many, and what failed first. It is asked again
// whenever nothing is left to do, so that a retry that mends everything mends
// the reason. Complete itself stays.
//
// Clips and segments are what an Event is for: without one of them it is not
// well. Results that a plugin's onFailure gives up, labels, moved marks,
// exports and reels may be missing from an Event that is.
func (e *eventTx) judge() error {
	e.ev.reason, e.ev.message, e.ev.outputsLost = "", "", false
	lost, err := e.countLosses()
	if err != nil {
		return err
	}
	broken := ""
	if tl := e.ev.timeline; tl != nil && tl.Incomplete != nil {
		broken = *tl.Incomplete
	}
	if !lost.any() && broken != "" {
		e.ev.reason, e.ev.message = reasonWithFailures, "Missing: the rest of the source. "+capital(broken)
		return nil
	}
	if !lost.any() {
		if lost.never > 0 { // a hole of the source is no failure, and must not go unsaid
			e.ev.message = fmt.Sprintf("All work is done. %d of %d chunks have no media, as none came",
				lost.never, lost.never+lost.ofChunks)
		}
		return nil
	}
	first, err := e.firstFailure()
	if err != nil {
		return err
	}
	lost.source = broken != ""
	e.ev.reason, e.ev.message = reasonWithFailures, lost.inWords()+". "+cmp.Or(first, capital(broken),
		"What they were made from could not be decoded in time")
	e.ev.outputsLost = lost.segmented > 0 || lost.final > 0 || lost.clips > 0
	return nil
}

// losses are what a Complete Event lacks.
type losses struct {
	chunks, ofChunks       int64 // that lack the result of a framer or a plugin
	never                  int64 // chunks that never came
	segmented, ofSegmented int64 // chunks whose segments may be missing
	final                  int64
	optimized, labelled    int64 // runs
	clips, ofClips         int64
	exports                int64
	reels                  int64
	source                 bool // its end
}

func (l losses) any() bool {
	return l.chunks+l.segmented+l.final+l.optimized+l.labelled+l.clips+l.exports+l.reels > 0
}

// inWords puts first what weighs most.
func (l losses) inWords() string {
	var parts []string
	add := func(n int64, format string, args ...any) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(l.clips, "%d of %d clips", l.clips, l.ofClips)
	if l.segmented > 0 && l.segmented == l.ofSegmented {
		parts = append(parts, "the segments of every chunk")
	} else {
		add(l.segmented, "the segments of %d of %d chunks", l.segmented, l.ofSegmented)
	}
	add(l.final, "the segments of the final pass")
	add(l.chunks, "results on %d of %d chunks", l.chunks, l.ofChunks)
	add(l.optimized, "%d %s of the optimizer", l.optimized, plural(l.optimized, "run"))
	add(l.labelled, "%d %s of the labeler", l.labelled, plural(l.labelled, "run"))
	add(l.exports, "the exports")
	add(l.reels, "%d %s of Replays", l.reels, plural(l.reels, "output"))
	add(l.never, "the media of %d of %d chunks, which never came", l.never, l.never+l.ofChunks)
	if l.source {
		parts = append(parts, "the rest of the source")
	}
	return "Missing: " + strings.Join(parts, ", ")
}

// capital begins a sentence.
func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func plural(n int64, thing string) string {
	if n == 1 {
		return thing
	}
	return thing + "s"
}

// failedReel is the condition of a reel's task that failed and that a Replay still wants.
const failedReel = `kind = 'reel' AND EXISTS (SELECT 1 FROM reels r JOIN replays p ON p.uid = r.replay_uid
	AND p.plan_hash = r.plan_hash WHERE r.task_id = tasks.id)`

// countLosses counts rows. The segments of a chunk may be missing where its
// segmenter failed or was skipped for a failure, and where it ran blind: that
// stays so when what it reads is found later, as segments are made in order.
func (e *eventTx) countLosses() (losses, error) {
	var l losses
	p, err := progress(e.ctx, e, e.ev)
	if err != nil {
		return l, err
	}
	l.chunks, l.ofChunks, l.never, l.clips, l.ofClips = p.ChunksFailed, p.ChunksIngested-p.ChunksMissing,
		p.ChunksMissing, p.ClipsFailed, p.ClipsWanted
	for _, c := range []struct {
		into  *int64
		where string
	}{
		{&l.final, `kind = 'final'`}, {&l.optimized, `kind = 'optimizer'`}, {&l.labelled, `kind = 'labeler'`},
		{&l.exports, `kind = 'export'`}, {&l.reels, failedReel},
	} {
		if *c.into, err = one[int64](e.ctx, e, `SELECT COUNT(*) FROM tasks
			WHERE event_uid = $1 AND state = 'failed' AND `+c.where, e.ev.uid); err != nil {
			return l, err
		}
	}
	if l.ofSegmented, err = one[int64](e.ctx, e, `SELECT COUNT(*) FROM chunks
		WHERE event_uid = $1 AND state = 'closed' AND late = 0`, e.ev.uid); err != nil {
		return l, err
	}
	l.segmented, err = one[int64](e.ctx, e, `SELECT COUNT(*) FROM chunks c
		WHERE event_uid = $1 AND state = 'closed' AND late = 0 AND (blind = 1 OR EXISTS (
		SELECT 1 FROM tasks t WHERE t.event_uid = $1 AND t.kind = 'segmenter' AND t.chunk = c.number
		AND t.state IN ('failed', 'skipped')))`, e.ev.uid)
	return l, err
}

// noteBlind notes whether the segmenter of a chunk runs without what it reads,
// as it does where the chunk could not be decoded: nobody's onFailure gave
// that up.
func (e *eventTx) noteBlind(chunk int64) error {
	skipped, err := collect(e.ctx, e, func(r *sql.Rows) (name string, err error) { return name, r.Scan(&name) },
		`SELECT DISTINCT plugin FROM tasks WHERE event_uid = $1 AND kind = 'featurer'
			AND chunk = $2 AND state = 'skipped'`, e.ev.uid, chunk)
	if err != nil {
		return err
	}
	blind := slices.ContainsFunc(skipped, func(name string) bool { return e.plan.needs(e.plan.Segmenter, name) })
	_, err = e.exec(`UPDATE chunks SET blind = $3 WHERE event_uid = $1 AND number = $2
		AND blind <> $3`, e.ev.uid, chunk, flag(blind))
	return err
}

// firstFailure names what failed first, and why.
func (e *eventTx) firstFailure() (string, error) {
	var t taskRow
	var why string
	err := e.QueryRowContext(e.ctx, `SELECT kind, plugin, chunk, track, subject, error
		FROM tasks WHERE event_uid = $1 AND state = 'failed'
		AND (kind <> 'reel' OR `+failedReel+`) ORDER BY finished_at, id LIMIT 1`,
		e.ev.uid).Scan(&t.kind, &t.plugin, &t.chunk, &t.track, &t.subject, &why)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read what failed first: %w", err)
	}
	return fmt.Sprintf("First failed %s: %s", t.inWords(), why), nil
}

// inWords names a task to people.
func (t *taskRow) inWords() string {
	name := string(t.kind)
	if t.plugin != "" {
		name += " " + t.plugin
	}
	if t.track > 0 {
		name += fmt.Sprintf(" of track %d", t.track)
	}
	switch t.kind {
	case api.TaskKindFramer, api.TaskKindFeaturer, api.TaskKindSegmenter, api.TaskKindOptimizer, api.TaskKindLabeler:
		name += fmt.Sprintf(" of chunk %d", t.chunk)
	case api.TaskKindClip:
		name += " " + t.subject
	case api.TaskKindReel:
		name += " " + t.subject[strings.LastIndexByte(t.subject, '/')+1:]
	}
	return name
}
