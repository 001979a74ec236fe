// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// openChunk notes a chunk when its first unit comes, for people to see. Its
// extent is final when it closes.
func (e *eventTx) openChunk(number int64, u api.Unit) error {
	if number <= e.ev.watermark {
		return nil
	}
	_, err := e.exec(`INSERT INTO chunks (event_uid, number, state, start_us, end_us, first_frame, frames, units)
		VALUES ($1, $2, 'open', $3, $4, $5, $6, 1)
		ON CONFLICT (event_uid, number) DO UPDATE SET units = chunks.units + 1, frames = chunks.frames + excluded.frames`,
		e.ev.uid, number, u.StartMicros, u.EndMicros, u.FirstFrame, u.Frames)
	return err
}

// closeChunks closes every chunk whose units are all stored: those before the
// chunk of the last unit that is stored without a gap, and that one too when
// the source has ended there. Extents follow each other without a break; a chunk
// without units is missing where its frames were given up, and else empty.
func (e *eventTx) closeChunks() error {
	if e.ev.frames == 0 {
		return nil
	}
	last, err := one[int64](e.ctx, e, `SELECT COALESCE(MAX(chunk), 0) FROM units
		WHERE event_uid = $1 AND first_frame < $2`, e.ev.uid, e.ev.frames)
	if err != nil {
		return err
	}
	switch {
	case !e.ev.allStored():
		last--
	case last < e.chunkOfFrame(e.ev.sourceFrames-1):
		// The end may have been given up.
		tail, err := e.gapsIn(e.ev.sourceFrames-1, e.ev.sourceFrames)
		if err != nil {
			return err
		}
		if len(tail) > 0 {
			last = e.chunkOfFrame(e.ev.sourceFrames - 1)
		}
	}
	if last <= e.ev.watermark {
		return nil
	}
	at := int64(0)
	if e.ev.watermark > 0 {
		x, err := chunkExtent(e.ctx, e, e.ev.uid, e.ev.watermark)
		if err != nil {
			return err
		}
		at = x.FirstFrame + x.Frames
	}
	for e.ev.watermark < last {
		if at, err = e.closeChunk(e.ev.watermark+1, at); err != nil {
			return err
		}
	}
	return nil
}

// closeChunk closes a chunk that starts at a frame, plans its tasks, and
// returns the frame at which it ends.
func (e *eventTx) closeChunk(number, first int64) (int64, error) {
	var units, end int64
	if err := e.QueryRowContext(e.ctx, `SELECT COUNT(*), COALESCE(MAX(end_frame), 0)
		FROM units WHERE event_uid = $1 AND chunk = $2`,
		e.ev.uid, number).Scan(&units, &end); err != nil {
		return 0, fmt.Errorf("close chunk %d: %w", number, err)
	}
	state := api.ChunkStateClosed
	if end <= first {
		var missing bool
		var err error
		if end, missing, err = e.missingExtent(number, first); err != nil {
			return 0, err
		}
		if state = api.ChunkStateEmpty; missing {
			state = api.ChunkStateMissing
		}
	}
	if _, err := e.exec(`INSERT INTO chunks (event_uid, number, state, start_us, end_us, first_frame, frames, units,
		closed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (event_uid, number) DO UPDATE SET state = excluded.state, start_us = excluded.start_us,
		end_us = excluded.end_us, first_frame = excluded.first_frame, frames = excluded.frames,
		units = excluded.units, closed_at = excluded.closed_at`,
		e.ev.uid, number, string(state), e.startOf(first), e.startOf(end), first, end-first, units, e.now); err != nil {
		return 0, err
	}
	e.ev.watermark = number
	e.claimsMoved = true
	return end, e.planChunk(number, state == api.ChunkStateClosed)
}

// chunkExtent reads where a chunk lies.
func chunkExtent(ctx context.Context, q querier, uid string, number int64) (api.ChunkExtent, error) {
	x := api.ChunkExtent{Number: number}
	err := q.QueryRowContext(ctx, `SELECT start_us, end_us, first_frame, frames FROM chunks
		WHERE event_uid = $1 AND number = $2`, uid, number).
		Scan(&x.StartMicros, &x.EndMicros, &x.FirstFrame, &x.Frames)
	if err != nil {
		return x, fmt.Errorf("read chunk %d: %w", number, err)
	}
	return x, nil
}

// chunkAt is the number of the last chunk that starts at or before a time.
func chunkAt(ctx context.Context, q querier, uid string, us int64) (int64, error) {
	var n int64
	err := q.QueryRowContext(ctx, `SELECT number FROM chunks WHERE event_uid = $1 AND start_us <= $2
		AND closed_at IS NOT NULL ORDER BY start_us DESC, number DESC LIMIT 1`, uid, us).Scan(&n)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return n, err
}
