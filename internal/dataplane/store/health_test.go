// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func (h *harness) reportHealth(plugin, holder string, state api.PluginHealthReportState, message string) {
	h.t.Helper()
	h.must(h.s.PutPluginHealth(h.ctx, h.uid, plugin,
		api.PluginHealthReport{Holder: holder, State: state, Message: message}))
}

// ill is what people see of plugins.
func (h *harness) ill() string {
	h.t.Helper()
	var out []string
	for _, p := range h.event().Plugins {
		out = append(out, fmt.Sprintf("%s %s %q since %s", p.Name, p.State, p.Message, p.Since.Format("15:04:05")))
	}
	return strings.Join(out, "; ")
}

func (h *harness) wantIll(want string) {
	h.t.Helper()
	if diff := cmp.Diff(want, h.ill()); diff != "" {
		h.t.Errorf("plugins (-want +got):\n%s", diff)
	}
}

// news says whether the feed has something about the Event since it was read.
func (h *harness) news(after *int64) bool {
	h.t.Helper()
	list, next, err := h.s.Changes(h.ctx, *after, 100)
	h.must(err)
	*after = next
	return len(list) > 0
}

func TestHealthOfPlugins(t *testing.T) {
	h := newHarness(t)
	h.start(contained("", "scene", "peaks"))
	var feed int64
	h.news(&feed)
	h.reportHealth("scene", "pod-1", "Working", "")
	if h.news(&feed) {
		t.Error("that a plugin works is news")
	}
	h.wantIll("")
	h.reportHealth("scene", "pod-1", "Crashed", "exit 1")
	if !h.news(&feed) {
		t.Error("a crash is no news")
	}
	h.wantIll(`scene Crashed "exit 1" since 14:00:00`)
	h.clock.Step(time.Second)
	h.reportHealth("scene", "pod-1", "Crashed", "exit 1")
	if h.news(&feed) {
		t.Error("a repeat is news")
	}
	h.reportHealth("scene", "pod-1", "Crashed", "exit 2")
	if !h.news(&feed) {
		t.Error("other words are no news")
	}
	h.wantIll(`scene Crashed "exit 2" since 14:00:00`)

	// The worst of several holders, and of equals the newest.
	h.reportHealth("scene", "pod-2", "StartFailed", "no module named torch")
	h.reportHealth("peaks", "pod-1", "TimedOut", "old")
	h.clock.Step(time.Second)
	h.reportHealth("peaks", "pod-2", "TimedOut", "new")
	h.reportHealth("scene", "pod-3", "TimedOut", "")
	want := `peaks TimedOut "new" since 14:00:02; scene StartFailed "no module named torch" since 14:00:01`
	h.wantIll(want)
	h.reopen()
	h.wantIll(want)
	h.reportHealth("scene", "pod-2", "Crashed", "later")
	h.wantIll(`peaks TimedOut "new" since 14:00:02; scene Crashed "later" since 14:00:02`)

	h.news(&feed)
	for _, pod := range []string{"pod-1", "pod-2", "pod-3"} {
		h.reportHealth("scene", pod, "Working", "")
		h.reportHealth("peaks", pod, "Working", "")
	}
	if !h.news(&feed) {
		t.Error("a recovery is no news")
	}
	h.wantIll("")
}

func TestHealthThatIsRefused(t *testing.T) {
	h := newHarness(t)
	h.start(contained("", "scene"))
	for _, plugin := range []string{"peaks", "nobody"} {
		err := h.s.PutPluginHealth(h.ctx, h.uid, plugin, api.PluginHealthReport{Holder: "pod-1", State: "Crashed"})
		h.wantErr(err, ErrNotFound, plugin)
	}
	h.reportHealth("scene", "pod-1", "Crashed", "\xff\x00"+strings.Repeat("é", 5000))
	got := h.event().Plugins[0].Message
	if len(got) > maxHealthMessage || len(got) < maxHealthMessage-2 ||
		!utf8.ValidString(got) || !strings.HasPrefix(got, "\uFFFD\uFFFDé") {
		t.Errorf("%d bytes: %.20q", len(got), got)
	}
	// The same words again are a repeat, also when they were cut.
	var feed int64
	h.news(&feed)
	h.reportHealth("scene", "pod-1", "Crashed", "\xff\x00"+strings.Repeat("é", 5000))
	if h.news(&feed) {
		t.Error("a repeat of words that were cut is news")
	}
}

// What a holder said counts until it was not heard of for a while: by reports,
// by asking for work, or by keeping its lease.
func TestHealthExpires(t *testing.T) {
	h := newHarness(t)
	h.start(contained("", "scene", "peaks"))
	h.register(0, 1, 2, 3)
	for _, pod := range []string{"reports", "asks", "holds", "gone"} {
		h.reportHealth("scene", pod, "Crashed", pod)
	}
	r := h.ask(api.LeaseRequest{Holder: "holds"})
	for range 30 { // 6 minutes
		h.clock.Step(12 * time.Second)
		h.must(h.s.Heartbeat(h.ctx, h.uid, r.Lease.TaskID, r.Lease.Token))
		h.reportHealth("scene", "reports", "Crashed", "reports")
		h.ask(api.LeaseRequest{Holder: "asks", Pool: api.WorkerPool("nothing")})
		next, err := h.s.Housekeep(h.ctx)
		h.must(err)
		if !next.After(h.clock.Now()) {
			t.Fatalf("due at %s, and it is %s", next, h.clock.Now())
		}
	}
	var holders []string
	var feed int64
	rows, err := h.s.writer.Query(`SELECT holder FROM plugin_health ORDER BY holder`)
	h.must(err)
	defer rows.Close()
	for rows.Next() {
		var holder string
		h.must(rows.Scan(&holder))
		holders = append(holders, holder)
	}
	h.must(rows.Err())
	if diff := cmp.Diff([]string{"asks", "holds", "reports"}, holders); diff != "" {
		t.Errorf("holders (-want +got):\n%s", diff)
	}
	h.news(&feed)
	h.must(h.s.Release(h.ctx, h.uid, r.Lease.TaskID, r.Lease.Token)) // from here on nobody is heard of
	h.clock.Step(10 * time.Minute)
	h.reopen() // no data plane was alive: that time does not count
	_, err = h.s.Housekeep(h.ctx)
	h.must(err)
	if h.ill() == "" {
		t.Error("an outage makes plugins well")
	}
	for range 4 {
		h.clock.Step(time.Minute)
		_, err = h.s.Housekeep(h.ctx)
		h.must(err)
	}
	h.wantIll("")
	if !h.news(&feed) {
		t.Error("that nobody says so any more is no news")
	}
}

func TestHealthGoesWithTheEvent(t *testing.T) {
	h := newHarness(t)
	h.start(contained("", "scene"))
	h.reportHealth("scene", "pod-1", "Crashed", "x")
	h.must(h.s.Tombstone(h.ctx, h.uid, api.DeletionPolicyDelete))
	h.clock.Step(time.Hour)
	if next, err := h.s.Housekeep(h.ctx); err != nil || !next.IsZero() {
		t.Errorf("due at %s, %v", next, err)
	}
	err := h.s.PutPluginHealth(h.ctx, h.uid, "scene", api.PluginHealthReport{Holder: "pod-1", State: "Crashed"})
	h.wantErr(err, ErrGone, "")
	_, err = h.s.PurgeRows(h.ctx, h.uid)
	h.must(err)
}
