// SPDX-License-Identifier: Apache-2.0

package store

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

const (
	// silence is how long what a holder said of its plugins counts after it
	// was heard of last. A worker that waits for tasks is heard of every 30 s.
	silence = int64(180 * microsPerSecond)
	// hearEvery is how exact it is known when a holder was heard of last.
	hearEvery = int64(60 * microsPerSecond)
	// maxHealthMessage bounds a plugin's own words.
	maxHealthMessage = 2048
)

// PutPluginHealth notes what a worker knows of a plugin's process. Its newest
// word counts, until it is not heard of any more.
func (s *Store) PutPluginHealth(ctx context.Context, uid, plugin string, report api.PluginHealthReport) error {
	ev, err := findEvent(ctx, s.reader, uid)
	if err != nil {
		return err
	}
	p, err := s.loadPlan(ctx, s.reader, uid, ev.planHash)
	if err != nil {
		return err
	}
	if q := p.byName[plugin]; q == nil || q.Container == nil {
		return notFound("the Event's plan has no plugin %q in a container", plugin)
	}
	works := report.State == api.PluginHealthReportStateWorking
	if works && !ev.ailing {
		return nil
	}
	message := short(report.Message, maxHealthMessage)
	if !works {
		// Most words of a worker are those that it has said before, and are no news.
		known, err := s.repeatHealth(ctx, uid, plugin, report, message)
		if err != nil || known {
			return err
		}
	}
	return s.onEvent(ctx, uid, func(e *eventTx) error {
		if works {
			n, err := e.exec(`DELETE FROM plugin_health WHERE event_uid = $1 AND plugin = $2
				AND holder = $3`, uid, plugin, report.Holder)
			if err == nil && n == 0 {
				return errUnchanged
			}
			return e.countAiling(err)
		}
		_, err := e.exec(`INSERT INTO plugin_health (event_uid, plugin, holder, state, message, since_at, heard_at)
			VALUES ($1, $2, $3, $4, $5, $6, $6)
			ON CONFLICT (event_uid, plugin, holder) DO UPDATE SET
			since_at = CASE WHEN plugin_health.state = excluded.state THEN plugin_health.since_at ELSE excluded.since_at END,
			state = excluded.state, message = excluded.message, heard_at = excluded.heard_at`,
			uid, plugin, report.Holder, string(report.State), message, e.now)
		return e.countAiling(err)
	})
}

// repeatHealth says whether a report is what is known already.
func (s *Store) repeatHealth(ctx context.Context, uid, plugin string,
	report api.PluginHealthReport, message string) (known bool, err error) {
	err = s.writeQuietly(ctx, func(t *txn) error {
		n, err := t.exec(`UPDATE plugin_health SET heard_at = $6 WHERE event_uid = $1 AND plugin = $2
			AND holder = $3 AND state = $4 AND message = $5`,
			uid, plugin, report.Holder, string(report.State), message, t.now)
		known = n > 0
		if err == nil && !known {
			return errUnchanged
		}
		return err
	})
	return known, err
}

// countAiling keeps in the Event's row whether there is something to look at,
// so that an Event whose plugins are well costs nothing.
func (e *eventTx) countAiling(err error) error {
	if err != nil {
		return err
	}
	n, err := one[int64](e.ctx, e, `SELECT COUNT(*) FROM plugin_health WHERE event_uid = $1`, e.ev.uid)
	e.ev.ailing = n > 0
	return err
}

// heard notes that a holder lives.
func (e *eventTx) heard(holder string) error {
	if !e.ev.ailing {
		return nil
	}
	_, err := e.exec(`UPDATE plugin_health SET heard_at = $3 WHERE event_uid = $1 AND holder = $2
		AND heard_at < $4`, e.ev.uid, holder, e.now, e.now-hearEvery)
	return err
}

// isUnheard says that it is time to note that a holder lives.
func isUnheard(ctx context.Context, q querier, ev *eventRow, holder string, now int64) (bool, error) {
	if !ev.ailing {
		return false, nil
	}
	n, err := one[int64](ctx, q, `SELECT COUNT(*) FROM plugin_health WHERE event_uid = $1 AND holder = $2
		AND heard_at < $3`, ev.uid, holder, now-hearEvery)
	return n > 0, err
}

// hear is heard for a holder that finds nothing to do.
func (s *Store) hear(ctx context.Context, uid, holder string) error {
	return s.writeQuietly(ctx, func(t *txn) error {
		_, err := t.exec(`UPDATE plugin_health SET heard_at = $3 WHERE event_uid = $1 AND holder = $2`, uid, holder, t.now)
		return err
	})
}

// expireHealth forgets what holders said that are not heard of any more. One
// that keeps its lease is.
func (e *eventTx) expireHealth() error {
	if !e.ev.ailing {
		return nil
	}
	if _, err := e.exec(`UPDATE plugin_health SET heard_at = $3 WHERE event_uid = $1 AND heard_at <= $2
		AND holder IN (SELECT holder FROM tasks WHERE event_uid = $1 AND state = 'leased')`,
		e.ev.uid, e.now-silence, e.now); err != nil {
		return err
	}
	_, err := e.exec(`DELETE FROM plugin_health WHERE event_uid = $1 AND heard_at <= $2`, e.ev.uid, e.now-silence)
	return e.countAiling(err)
}

// severity orders what is wrong with a plugin: one that does not start does
// nothing at all.
var severity = []api.PluginHealthState{api.PluginHealthStateTimedOut,
	api.PluginHealthStateCrashed, api.PluginHealthStateStartFailed}

// ailingPlugins is the worst, and then the newest, that is known of each plugin.
func ailingPlugins(ctx context.Context, q querier, ev *eventRow) ([]api.PluginHealth, error) {
	if !ev.ailing {
		return nil, nil
	}
	list, err := collect(ctx, q, func(r *sql.Rows) (h api.PluginHealth, err error) {
		var since int64
		err = r.Scan(&h.Name, &h.State, &h.Message, &since)
		h.Since = time.UnixMicro(since).UTC()
		return h, err
	}, `SELECT plugin, state, message, since_at FROM plugin_health
		WHERE event_uid = $1 ORDER BY plugin, since_at, holder`, ev.uid)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b api.PluginHealth) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		if c := slices.Index(severity, b.State) - slices.Index(severity, a.State); c != 0 {
			return c
		}
		return b.Since.Compare(a.Since)
	})
	return slices.CompactFunc(list, func(a, b api.PluginHealth) bool { return a.Name == b.Name }), nil
}
