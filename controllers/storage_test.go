// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func TestCheckStorage(t *testing.T) {
	gone := new("the bucket of s3://mre/ does not exist: bring it back")
	for name, tc := range map[string]struct {
		problem   *string
		suspended bool
		want      wantFinding
	}{
		"there": {},
		"gone": {problem: gone,
			want: wantFinding{mrev1.ReasonStorageUnavailable, Wait, []string{"s3://mre/", "bring it back. The Event goes on"}}},
		"gone, but it rests":  {problem: gone, suspended: true},
		"there, and it rests": {suspended: true},
	} {
		t.Run(name, func(t *testing.T) {
			tc.want.check(t, checkStorage(&api.EventState{StorageProblem: tc.problem}, tc.suspended))
		})
	}
}

func TestCheckDeletion(t *testing.T) {
	gone := new("the bucket of s3://mre/ does not exist: bring it back")
	for name, tc := range map[string]struct {
		state api.DeletionState
		want  wantFinding
	}{
		"done": {state: api.DeletionState{Done: true, Remaining: "nothing"}},
		"more to do": {state: api.DeletionState{Remaining: "two reels"},
			want: wantFinding{mrev1.ReasonDeleting, Wait, []string{"two reels"}}},
		"without word": {want: wantFinding{mrev1.ReasonDeleting, Wait, []string{"some are left"}}},
		"no bucket": {state: api.DeletionState{Remaining: "objects", StorageProblem: gone},
			want: wantFinding{mrev1.ReasonStorageUnavailable, Wait,
				[]string{"s3://mre/", "annotate the Replay with " + mrev1.AnnotationForceDelete}}},
	} {
		t.Run(name, func(t *testing.T) { tc.want.check(t, checkDeletion(tc.state, "Replay")) })
	}
}
