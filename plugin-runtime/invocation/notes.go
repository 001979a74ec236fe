// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Note keeps what became of something that the plugin wrote. It is published with the task, for people to read; a run
// that goes astray may say it over and over, so that there is an end to it.
func (r *Run) Note(format string, args ...any) {
	r.staged.mu.Lock()
	defer r.staged.mu.Unlock()
	r.staged.note(fmt.Sprintf(format, args...))
}

func (s *staged) note(text string) {
	if len(s.notes) >= api.MaxNotes {
		s.dropped++
		return
	}
	s.notes = append(s.notes, text)
}

// Told are all notes on a run, in order: those that were made while it wrote, and those on what it wrote in the end.
// They are no more and no longer than the data plane takes.
func (r *Run) Told(inTheEnd []string) []string {
	r.staged.mu.Lock()
	all, dropped := slices.Concat(r.staged.notes, inTheEnd), r.staged.dropped
	r.staged.mu.Unlock()
	if n := len(all) + dropped - api.MaxNotes; n > 0 {
		all = append(all[:min(len(all), api.MaxNotes-1)], fmt.Sprintf("%d more of this kind", n+1))
	}
	for i, n := range all {
		if n = strings.ToValidUTF8(n, "?"); len(n) > api.MaxNote {
			n = strings.ToValidUTF8(n[:api.MaxNote-3], "") + "…"
		}
		all[i] = n
	}
	return all
}
