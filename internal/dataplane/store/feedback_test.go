// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func opinion(feedback api.OpinionFeedback, detail string) *api.Opinion {
	return &api.Opinion{Feedback: feedback, Detail: detail}
}

func TestFeedback(t *testing.T) {
	h := newHarness(t)
	h.start()
	h.ingest(9)
	h.drain(match{moments: []int64{1, 14}})
	first, second := h.segments()[0].ID, h.segments()[1].ID
	put := func(segment string, track int32, reviewer string, original, optimized *api.Opinion) {
		t.Helper()
		h.must(h.s.PutFeedback(h.ctx, h.uid,
			api.Feedback{SegmentID: segment, Track: track, Reviewer: reviewer, Original: original, Optimized: optimized}))
	}
	want := func(want ...api.Feedback) {
		t.Helper()
		got, err := h.s.Feedback(h.ctx, h.uid)
		h.must(err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("feedback (-want +got):\n%s", diff)
		}
	}
	like, dislike := opinion(api.OpinionFeedbackLike, "what a goal"), opinion(api.OpinionFeedbackDislike, "")
	put(second, 1, "bob", like, nil)
	put(first, 1, "bob", like, dislike)
	put(first, 1, "ann", dislike, nil)
	put(first, 0, "bob", nil, like)
	want(api.Feedback{SegmentID: first, Track: 0, Reviewer: "bob", Optimized: like},
		api.Feedback{SegmentID: first, Track: 1, Reviewer: "ann", Original: dislike},
		api.Feedback{SegmentID: first, Track: 1, Reviewer: "bob", Original: like, Optimized: dislike},
		api.Feedback{SegmentID: second, Track: 1, Reviewer: "bob", Original: like})

	// Who says nothing of one of the two keeps what was said.
	put(first, 1, "bob", nil, like)
	put(first, 1, "ann", opinion("-", "never mind"), nil)
	put(first, 0, "bob", opinion("-", ""), nil)
	put(second, 1, "bob", opinion("-", ""), opinion("-", ""))
	h.reopen()
	want(api.Feedback{SegmentID: first, Track: 0, Reviewer: "bob", Optimized: like},
		api.Feedback{SegmentID: first, Track: 1, Reviewer: "bob", Original: like, Optimized: like})

	err := h.s.PutFeedback(h.ctx, h.uid, api.Feedback{SegmentID: "000009-9", Track: 1, Reviewer: "bob", Original: like})
	h.wantErr(err, ErrNotFound, `"000009-9"`)
	for _, track := range []int32{-1, 2} {
		err := h.s.PutFeedback(h.ctx, h.uid, api.Feedback{SegmentID: first, Track: track, Reviewer: "bob", Original: like})
		h.wantErr(err, ErrInvalid, "audio tracks 1 to 1")
	}
	h.must(h.s.Tombstone(h.ctx, h.uid, api.DeletionPolicyDelete))
	err = h.s.PutFeedback(h.ctx, h.uid, api.Feedback{SegmentID: first, Reviewer: "bob", Original: like})
	h.wantErr(err, ErrGone, "")
	_, err = h.s.PurgeRows(h.ctx, h.uid)
	h.must(err)
}

func TestFeedbackBeforeTheTimeline(t *testing.T) {
	h := newHarness(t)
	_, err := h.s.PutPlan(h.ctx, h.uid, testPlan(h.uid))
	h.must(err)
	h.wantErr(h.s.PutFeedback(h.ctx, h.uid, api.Feedback{SegmentID: "000001-0", Reviewer: "bob"}), ErrNotFound, "segment")
	if list, err := h.s.Feedback(h.ctx, h.uid); err != nil || len(list) != 0 {
		t.Errorf("%v, %v", list, err)
	}
}
