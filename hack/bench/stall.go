// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// stallAfter is how long a benchmark may make no progress before it fails.
const stallAfter = time.Minute

// watchdog expires when what it is shown does not change.
type watchdog struct {
	seen  string
	since time.Time
}

func newWatchdog() *watchdog { return &watchdog{since: time.Now()} }

func (w *watchdog) expired(progress string) bool {
	if progress != w.seen {
		w.seen, w.since = progress, time.Now()
	}
	return time.Since(w.since) > stallAfter
}

// logLines is how much of each pod's log an error shows.
const logLines = 5
