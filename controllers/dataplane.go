// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"time"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// DataPlane is the part of the data plane's client that the manager uses. A call is tried once: the
// work queue repeats what fails.
type DataPlane interface {
	PutPlan(ctx context.Context, eventUID string, plan api.Plan) (api.EventState, error)
	PutRun(ctx context.Context, eventUID string, run api.Run) error
	Finish(ctx context.Context, eventUID string) error
	Retry(ctx context.Context, eventUID string, request api.RetryRequest) (api.RetryResult, error)
	Event(ctx context.Context, eventUID string) (api.EventState, error)
	DeleteEvent(ctx context.Context, eventUID string, policy api.DeletionPolicy, purge bool) (api.DeletionState, error)
	PutReplay(ctx context.Context, replayUID string, rules api.ReplayRules) (api.ReplayState, error)
	Replay(ctx context.Context, replayUID string) (api.ReplayState, error)
	DeleteReplay(ctx context.Context, replayUID string, policy api.DeletionPolicy) (api.DeletionState, error)
	Changes(ctx context.Context, after int64, wait time.Duration) (api.ChangeList, error)
}

const (
	// callTimeout bounds one call, so that a hanging data plane does not hold a reconciler.
	callTimeout = 10 * time.Second
	// outagePause is how long an object waits after a call that failed.
	outagePause = 5 * time.Second
)

// unavailable is the finding for a call that failed. Its message is the same each time, so that an outage
// costs one status patch; the log has the details.
func unavailable(err error) *Finding {
	code := client.Code(err)
	switch {
	case code == "":
		return waiting(mrev1.ReasonDataPlaneUnavailable, "the data plane does not answer; trying again")
	case client.Temporary(err):
		return waiting(mrev1.ReasonDataPlaneUnavailable,
			"the data plane is not able to work (%s): its database or the object store does not answer, and its log "+
				"says more; trying again", code)
	}
	return waiting(mrev1.ReasonDataPlaneUnavailable, "the data plane refuses the manager: %v", err)
}

// refused tells whether the data plane understood a call and will answer the same way next time.
func refused(err error) bool {
	switch client.Code(err) {
	case api.ProblemCodeConflict, api.ProblemCodeGone, api.ProblemCodeInvalid, api.ProblemCodeTooLarge:
		return true
	}
	return false
}

func notFound(err error) bool { return client.Is(err, api.ProblemCodeNotFound) }

// gone tells whether the data plane has nothing left to delete.
func gone(err error) bool { return notFound(err) || client.Is(err, api.ProblemCodeGone) }
