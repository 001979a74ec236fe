// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// ended is how a Complete Event says it ended: whether clips or segments are missing, and the words.
func (h *harness) ended() string {
	h.t.Helper()
	e := h.event()
	if e.State != api.EventStateStateComplete {
		h.t.Fatalf("the Event is %s: %s", e.State, optionalName(e.Message))
	}
	lost := ""
	if e.OutputsLost != nil && *e.OutputsLost {
		lost = "outputs lost: "
	}
	return lost + optionalName(e.Reason) + ": " + optionalName(e.Message)
}

// An Event that lacks anything says what and how much, and what failed first.
func TestCompletedWithFailures(t *testing.T) {
	const all = ": "
	with := func(what, first string) string {
		return "CompletedWithFailures: Missing: " + what + ". First failed " + first + ": out of luck"
	}
	for name, tc := range map[string]struct {
		plugin string
		chunks []int64
		want   string
	}{
		"nothing":    {"", nil, all},
		"a featurer": {"scene", []int64{2}, with("results on 1 of 3 chunks", "featurer scene of chunk 2")},
		"what segments need": {"peaks", []int64{1, 2},
			with("results on 2 of 3 chunks", "featurer peaks of track 1 of chunk 1")},
		"a framer": {"framer", []int64{2},
			"outputs lost: " + with("the segments of 1 of 3 chunks, results on 1 of 3 chunks", "framer of chunk 2")},
		"a segmenter": {"segment", []int64{2},
			"outputs lost: " + with("the segments of 1 of 3 chunks, results on 1 of 3 chunks", "segmenter segment of chunk 2")},
		"every segmenter": {"segment", []int64{1, 2, 3}, "outputs lost: " + with("the segments of every chunk, the segments "+
			"of the final pass, results on 3 of 3 chunks", "segmenter segment of chunk 1")},
		"an optimizer": {"snap", []int64{2}, with("1 run of the optimizer", "optimizer snap of chunk 2")},
		"a labeler":    {"name", []int64{2}, with("1 run of the labeler", "labeler name of chunk 2")},
		"a clip":       {"clip", []int64{2}, "outputs lost: " + with("2 of 6 clips", "clip 000001-0/original/m1")},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.start()
			h.ingest(9)
			h.drainBut(match{moments: []int64{1, 8, 16}}, func(l *api.Lease, _ *api.TaskOutput) bool {
				for _, c := range tc.chunks {
					if l.Chunk == c && strings.HasPrefix(h.pluginOf(l), tc.plugin) {
						h.must(h.fail(l, "out of luck"))
						return true
					}
				}
				return false
			})
			got := h.ended()
			if strings.HasPrefix(tc.want, "outputs lost: ") != strings.HasPrefix(got, "outputs lost: ") ||
				!sameLoss(tc.want, got) {
				t.Errorf("it ended\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// sameLoss compares up to the clip that failed first, of which there are several.
func sameLoss(want, got string) bool {
	before, _, isClip := strings.Cut(want, "clip 0")
	return got == want || isClip && strings.HasPrefix(got, before)
}

// A hole of the source is no failure, but is said.
func TestCompletedAcrossAHole(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.register(0, 1, 2, 6, 7, 8)
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 9 * unitFrames}))
	h.wait(61 * time.Second)
	h.drain(match{moments: []int64{1, 14}})
	if got, want := h.ended(), ": All work is done. 1 of 3 chunks have no media, as none came"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A retry that mends everything turns the reason to that of an Event that lacks nothing; meanwhile, what was said
// holds. Complete itself never changes.
func TestRetryMendsTheReason(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	m := match{moments: []int64{1, 8, 16}}
	fail := func(l *api.Lease, _ *api.TaskOutput) bool {
		if l.Kind != api.TaskKindClip {
			return false
		}
		h.must(h.fail(l, "no space"))
		return true
	}
	h.drainBut(m, fail)
	missing := h.ended()
	if !strings.HasPrefix(missing, "outputs lost: CompletedWithFailures: Missing: 6 of 6 clips. First failed clip ") ||
		!strings.HasSuffix(missing, ": no space") {
		t.Fatal(missing)
	}
	retry := func(word string, want int64) {
		t.Helper()
		r, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: word})
		h.must(err)
		if r.Retried != want {
			t.Fatalf("%s: %+v", word, r)
		}
		if got := h.ended(); got != missing {
			t.Errorf("while it is tried again: %s\nwant %s", got, missing)
		}
	}
	retry("in vain", 6)
	h.drainBut(m, fail)
	retry("for good", 6)
	h.drain(m)
	if got := h.ended(); got != ": " {
		t.Errorf("in the end: %s", got)
	}
}

// What a chunk was segmented without is found later, but the segments were made: that stays missing.
func TestRetryDoesNotMendSegments(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	m := match{moments: []int64{1, 8, 16}}
	h.failing("framer", 2, m)
	_, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: "x"})
	h.must(err)
	h.drain(m)
	if got, want := h.ended(), "outputs lost: CompletedWithFailures: Missing: the segments of 1 of 3 chunks. What they "+
		"were made from could not be decoded in time"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A segmenter that has not run waits for what it reads to be tried again, and one that was skipped runs.
func TestRetryBeforeTheSegmenter(t *testing.T) {
	for name, policy := range map[string]api.PlanPluginOnFailure{"framer": api.PlanPluginOnFailureSkip,
		"peaks": api.PlanPluginOnFailureFailChunk} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.start(func(p *api.Plan) { p.Plugins[1].OnFailure = policy })
			h.ingest(3)
			m := match{moments: []int64{1}}
			for failed := false; !failed; {
				l := h.lease(api.PoolWork)
				if failed = h.pluginOf(l) == name; failed {
					h.must(h.fail(l, "out of luck"))
				} else {
					h.must(h.complete(l, m))
				}
			}
			_, err := h.s.Retry(h.ctx, h.uid, api.RetryRequest{ID: "x"})
			h.must(err)
			h.drain(m)
			if got := h.ended(); got != ": " || len(h.segments()) != 1 {
				t.Errorf("%s, %d segments", got, len(h.segments()))
			}
		})
	}
}

// A reel that is lost is missing from the Event, too, until its Replay does without it.
func TestLostReel(t *testing.T) {
	h := newHarness(t)
	h.start()
	_, err := h.s.PutReplay(h.ctx, testReplay, replayRules(1, 60))
	h.must(err)
	h.ingest(9)
	h.drainBut(match{moments: []int64{1, 8, 16}}, func(l *api.Lease, _ *api.TaskOutput) bool {
		if l.Kind != api.TaskKindReel || l.Input.Reel.Output != "608x1080" {
			return false
		}
		h.must(h.fail(l, "no room"))
		return true
	})
	if got, want := h.ended(),
		"CompletedWithFailures: Missing: 1 output of Replays. First failed reel of track 1 608x1080: no room"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if r := h.replay(); r.State != api.ReplayStateStateFailed ||
		!strings.Contains(optionalName(r.Message), "608x1080 could not be rendered: no room") {
		t.Errorf("the Replay: %s %s", r.State, optionalName(r.Message))
	}
	h.must(h.s.DeleteReplay(h.ctx, testReplay, api.DeletionPolicyDelete))
	if got := h.ended(); got != ": " {
		t.Errorf("without the Replay: %s", got)
	}
}

// Replays of an Event whose source broke off are made of what it gave, whether they come before or after its end.
func TestReplayOfBrokenOffEvent(t *testing.T) {
	h := newHarness(t)
	h.start()
	_, err := h.s.PutReplay(h.ctx, testReplay, replayRules(1, 60))
	h.must(err)
	m := match{moments: []int64{1, 8, 16}}
	for i := range int64(9) {
		h.register(i)
	}
	h.must(h.s.FailSource(h.ctx, h.uid,
		api.Failure{Reason: api.FailureReasonSourceUnreachable, Message: "the line is dead"}))
	h.drain(m)
	if e := h.event(); e.State != api.EventStateStateFailed || optionalName(e.Message) != "the line is dead" {
		t.Fatalf("%s %s", e.State, optionalName(e.Message))
	}
	rendered := func(generation int64) {
		t.Helper()
		r := h.replay()
		if r.State != api.ReplayStateStateRendered || r.Generation != generation || r.Selected == 0 ||
			optionalName(r.BrokenOff) != "the line is dead" {
			t.Errorf("generation %d: %s, %d segments, broken off: %q", r.Generation,
				r.State, r.Selected, optionalName(r.BrokenOff))
		}
	}
	rendered(1)
	_, err = h.s.PutReplay(h.ctx, testReplay, replayRules(2, 7))
	h.must(err)
	h.drain(m)
	rendered(2)
}

// A task whose holders are told to stop in the middle of it, over and over, has an end. One that nobody has begun
// goes back as often as one likes.
func TestGiveBacksHaveAnEnd(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(3)
	first := h.lease(api.PoolWork)
	for range 500 {
		h.must(h.s.Release(h.ctx, h.uid, first.TaskID, first.Token))
		if first = h.lease(api.PoolWork); first == nil {
			t.Fatal("a task that nobody began is not handed out again")
		}
	}
	id, given := first.TaskID, 0
	for l := first; l != nil && l.TaskID == id; l = h.lease(api.PoolWork) {
		given++
		h.must(h.s.GiveBack(h.ctx, h.uid, l.TaskID, l.Token))
		if given > maxLosses {
			t.Fatal("it is handed out without end")
		}
	}
	task, err := findTask(h.ctx, h.s.reader, h.uid, id)
	h.must(err)
	if given != maxLosses || task.state != api.TaskStateFailed || task.losses != maxLosses || task.attempts != 0 {
		t.Errorf("after %d give-backs: %s, %d losses, %d attempts", given, task.state, task.losses, task.attempts)
	}
	d, err := h.s.ExplainChunk(h.ctx, h.uid, 1)
	h.must(err)
	if got := optionalName(d.Tasks[0].Task.Error); !strings.Contains(got, "lost 20 times") ||
		!strings.Contains(got, "told to stop") {
		t.Errorf("it says %q", got)
	}
}

// What ingest said at its last end is shown until it stores a unit that is new, or ends.
func TestIngestProblem(t *testing.T) {
	h := newHarness(t)
	h.start()
	says := func(want string) {
		t.Helper()
		if got := optionalName(h.event().IngestProblem); got != want {
			t.Errorf("it says %q, want %q", got, want)
		}
	}
	says("")
	h.must(h.s.NoteIngest(h.ctx, h.uid, "the decoder is not there"))
	version := h.event().Version
	h.must(h.s.NoteIngest(h.ctx, h.uid, "the decoder is not there"))
	if got := h.event().Version; got != version {
		t.Errorf("the same word again made version %d of %d", got, version)
	}
	says("the decoder is not there")
	h.register(0)
	says("")
	h.must(h.s.NoteIngest(h.ctx, h.uid, strings.Repeat("ä", 2000)))
	if got := optionalName(h.event().IngestProblem); len(got) > 2048 || !strings.HasSuffix(got, "ä…") {
		t.Errorf("%d bytes, %q", len(got), got[len(got)-10:])
	}
	h.register(0) // nothing new
	if h.event().IngestProblem == nil {
		t.Error("a unit that was there takes it back")
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: unitFrames}))
	says("")
	h.must(h.s.NoteIngest(h.ctx, h.uid, "too late"))
	says("")
}

// Notes on what became of results are kept with the task, those of its last run, and no more than people read.
func TestNotes(t *testing.T) {
	h := newHarness(t)
	h.start(func(p *api.Plan) { p.MaxSegmentSeconds = 5 })
	h.ingest(6)
	m := match{}
	h.drainBut(m, func(l *api.Lease, out *api.TaskOutput) bool {
		switch {
		case h.pluginOf(l) == "scene" && l.Chunk == 1:
			out.Notes = []string{"a second result starts at 1 s"}
			out.Results = []api.NewResult{{StartMicros: 5 * second, EndMicros: 8 * second},
				{StartMicros: 9 * second, EndMicros: 9 * second}, {StartMicros: 0, EndMicros: 6 * second}}
		case h.pluginOf(l) == "peaks" && l.Chunk == 1:
			for i := range 150 {
				out.Notes = append(out.Notes, fmt.Sprint("note ", i))
			}
		case l.Kind == api.TaskKindSegmenter && l.Chunk == 2:
			end := 11 * second
			out.Segments = []api.SegmentUpdate{{StartMicros: 2 * second, EndMicros: &end, Attributes: map[string]any{}}}
		}
		return false
	})
	notes := map[string][]string{}
	for chunk := range int64(2) {
		d, err := h.s.ExplainChunk(h.ctx, h.uid, chunk+1)
		h.must(err)
		for _, task := range d.Tasks {
			if len(task.Notes) > 0 {
				notes[task.Task.Plugin] = task.Notes
			}
		}
	}
	if got := notes["peaks"]; len(got) != maxNotes || got[0] != "note 0" || got[maxNotes-1] != "51 more of this kind" {
		t.Errorf("%d notes, from %q to %q", len(got), got[0], got[len(got)-1])
	}
	delete(notes, "peaks")
	want := map[string][]string{
		"scene": {"a second result starts at 1 s",
			"results[0] from 5 s to 8 s reaches over the end of the chunk and is cut there, at 6 s",
			"results[1] starts at 9 s, after the chunk has ended; it is moved to the chunk's last frame"},
		"segment": {"the segment at 2 s was to end at 11 s; it ends at 7 s, as a segment lasts at most 5 s"},
	}
	if d := cmp.Diff(want, notes); d != "" {
		t.Errorf("notes (-want +got):\n%s", d)
	}
}

// Feedback that comes after the end is in the exports, also when it comes while they are written.
func TestFeedbackIsExported(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	h.drain(match{moments: []int64{1, 14}})
	say := func(reviewer string) {
		t.Helper()
		h.must(h.s.PutFeedback(h.ctx, h.uid, api.Feedback{SegmentID: h.segments()[0].ID, Track: 1, Reviewer: reviewer,
			Original: opinion(api.OpinionFeedbackLike, "")}))
	}
	version := h.event().Version
	say("ann")
	if h.event().Version == version {
		t.Error("nobody is told")
	}
	x, err := h.s.LeaseExport(h.ctx)
	h.must(err)
	if x == nil {
		t.Fatal("the exports are not written again")
	}
	data, err := h.s.ExportData(h.ctx, h.uid)
	h.must(err)
	say("bob") // too late for this one
	h.must(h.s.CompleteExport(h.ctx, *x, "json", nil))
	if len(data.Feedback) != 1 || data.Feedback[0].Reviewer != "ann" {
		t.Errorf("the first exports have %+v", data.Feedback)
	}
	if !h.exports() || h.exports() {
		t.Error("the exports are to be written once more")
	}
	if got := h.ended(); got != ": " {
		t.Error(got)
	}
	h.clock.Step(time.Second)
}

// A source that ends early is something that is missing.
func TestIncompleteSource(t *testing.T) {
	h := newHarness(t)
	h.start()
	for n := range int64(3) {
		h.register(n)
	}
	h.must(h.s.EndSource(h.ctx, h.uid, api.SourceEnd{Frames: 3 * unitFrames,
		Incomplete: new("the source is cut off after 6.0 s")}))
	h.drain(match{})
	want := "CompletedWithFailures: Missing: the rest of the source. The source is cut off after 6.0 s"
	if got := h.ended(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
