// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// checkStorage says that the Event's media can neither be read nor stored. The data plane looks at the bucket; its
// words name it. An Event that rests needs no bucket.
func checkStorage(state *api.EventState, suspended bool) *Finding {
	if state.StorageProblem == nil || suspended {
		return nil
	}
	return waiting(mrev1.ReasonStorageUnavailable, "%s. The Event goes on when it is back", *state.StorageProblem)
}

// checkDeletion says what is left of a deletion; nil means nothing. The kind is what is being deleted.
func checkDeletion(state api.DeletionState, kind string) *Finding {
	switch {
	case state.Done:
		return nil
	case state.StorageProblem != nil:
		return waiting(mrev1.ReasonStorageUnavailable, "%s%s", *state.StorageProblem, forceHint(kind))
	}
	return waiting(mrev1.ReasonDeleting, "removing rows and objects: %s", or(state.Remaining, "some are left"))
}
