// SPDX-License-Identifier: Apache-2.0

package server_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/keys"
	"github.com/mre-operator/mre-operator/internal/objects"
	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
)

// A bucket that vanishes in mid-event is named wherever the manager looks, no longer than it is away. It is not made
// again behind everybody's back, and a deletion waits for it.
func TestABucketThatVanishesIsNamed(t *testing.T) {
	var config objects.Config
	p := startOn(t, storetest.Bucket(t, func(c *objects.Config) { config = *c }))
	p.startMatch()
	p.ingestUnit(0)
	p.isReady() // it makes a bucket that it has never seen
	p.seesStorage("")
	must[*api.PutPlanResponse](t, 200)(p.as(manager).PutPlanWithResponse(t.Context(), "later",
		plan("later", "https://example.com/a.mp4")))
	seen := p.changes(0).Next

	raw := s3.New(s3.Options{Region: config.Region, BaseEndpoint: &config.Endpoint, UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(os.Getenv("AWS_ACCESS_KEY_ID"),
			os.Getenv("AWS_SECRET_ACCESS_KEY"), "")})
	if err := p.bucket.Delete(t.Context(), p.stored()); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.DeleteBucket(t.Context(), &s3.DeleteBucketInput{Bucket: &config.Bucket}); err != nil {
		t.Fatal(err)
	}
	// An upload that went wrong is not the caller's mistake while there is no bucket.
	key := keys.Unit("football", matchUID, 0, unit(1, "").FirstTicks)
	late := must[*api.RegisterUnitResponse](t, 503)(p.as(agent).RegisterUnitWithResponse(t.Context(),
		matchUID, unit(1, key)))
	if late.ApplicationProblemJSONDefault.Code != api.ProblemCodeUnavailable {
		t.Errorf("a late unit: %+v", late.ApplicationProblemJSONDefault)
	}
	p.seesStorage(p.bucket.Location("") + " does not exist")
	p.tells(seen, matchUID, "later")
	again := must[*api.PutPlanResponse](t, 200)(p.as(manager).PutPlanWithResponse(t.Context(), "later",
		plan("later", "https://example.com/a.mp4")))
	if again.JSON200.StorageProblem == nil {
		t.Error("who stores a plan does not learn of it")
	}
	must[*api.GetReadinessResponse](t, 200)(p.as(nobody).GetReadinessWithResponse(t.Context()))

	// Nor does a process make it that starts meanwhile.
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	p.run()
	p.isReady()
	p.seesStorage(p.bucket.Location("") + " does not exist")

	purge := &api.DeleteEventParams{Policy: api.DeletionPolicyDelete, Purge: true}
	waits := must[*api.DeleteEventResponse](t, 200)(p.as(manager).DeleteEventWithResponse(t.Context(),
		matchUID, purge)).JSON200
	if waits.Done || waits.Remaining == "" || waits.StorageProblem == nil ||
		!strings.Contains(*waits.StorageProblem, p.bucket.Location("")) {
		t.Errorf("a deletion without the bucket: %+v", waits)
	}

	seen = p.changes(0).Next
	if _, err := raw.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: &config.Bucket}); err != nil {
		t.Fatal(err)
	}
	p.tells(seen, "later")
	state := must[*api.GetEventResponse](t, 200)(p.as(viewer).GetEventWithResponse(t.Context(), "later")).JSON200
	if state.StorageProblem != nil {
		t.Errorf("the bucket is back: %s", *state.StorageProblem)
	}
	p.purge(api.DeletionPolicyDelete)
}

// seesStorage waits until an Event's state says so of the bucket; nothing when it says nothing.
func (p *plane) seesStorage(want string) {
	p.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		state := must[*api.GetEventResponse](p.t, 200)(p.as(manager).GetEventWithResponse(p.t.Context(), matchUID)).JSON200
		got := ""
		if state.StorageProblem != nil {
			got = *state.StorageProblem
		}
		if (got == "") == (want == "") && strings.Contains(got, want) {
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("the Event says %q of the bucket, want %q", got, want)
		}
	}
}

func (p *plane) changes(after int64) *api.ChangeList {
	p.t.Helper()
	wait := int32(1)
	return must[*api.ListChangesResponse](p.t, 200)(p.as(manager).ListChangesWithResponse(p.t.Context(),
		&api.ListChangesParams{After: after, WaitSeconds: &wait})).JSON200
}

// tells waits until the feed has told of Events since a number.
func (p *plane) tells(after int64, uids ...string) {
	p.t.Helper()
	missing := make(map[string]bool)
	for _, uid := range uids {
		missing[uid] = true
	}
	for deadline := time.Now().Add(time.Minute); len(missing) > 0; {
		list := p.changes(after)
		for _, c := range list.Changes {
			delete(missing, c.UID)
		}
		after = list.Next
		if time.Now().After(deadline) {
			p.t.Fatalf("the feed does not tell of %v", missing)
		}
	}
}
