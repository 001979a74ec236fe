// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// answer is what a command line came to.
type answer struct {
	code     int
	out, err string
}

// safe is a buffer for two goroutines.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// connect is what the program does with a kubeconfig, but for the port-forward.
func (w *world) connect(person *rest.Config) func(*genericclioptions.ConfigFlags, Install) (*Connection, error) {
	return func(_ *genericclioptions.ConfigFlags, to Install) (*Connection, error) {
		cluster, err := clusterclient.New(rest.CopyConfig(person), to.Namespace)
		if err != nil {
			return nil, err
		}
		cluster.Patience, cluster.HTTP = time.Second, w.web()
		dataPlane, err := to.dataPlane(cluster)
		return &Connection{Objects: cluster.Client, DataPlane: dataPlane, Web: cluster.HTTP}, err
	}
}

func (w *world) runTo(ctx context.Context, out *safe, person *rest.Config, args ...string) answer {
	var errOut safe
	code := Run(ctx, Options{
		Name: "kubectl mre", Streams: genericiooptions.IOStreams{Out: out, ErrOut: &errOut}, Connect: w.connect(person),
	}, slices.Insert(args, 1, "-n", "football"))
	return answer{code, out.String(), errOut.String()}
}

func (w *world) run(args ...string) answer {
	return w.runTo(w.t.Context(), &safe{}, w.person, args...)
}

// want runs a command and looks at how it ended and what it said.
func (w *world) want(code int, said []string, args ...string) answer {
	w.t.Helper()
	a := w.run(args...)
	if a.code != code {
		w.t.Fatalf("%v: exit code %d, want %d\n%s%s", args, a.code, code, a.out, a.err)
	}
	for _, s := range said {
		if !strings.Contains(a.out+a.err, s) {
			w.t.Errorf("%v does not say %q:\n%s%s", args, s, a.out, a.err)
		}
	}
	if strings.Contains(a.out+a.err, "X-Amz-Signature") {
		w.t.Errorf("%v tells a signed URL:\n%s%s", args, a.out, a.err)
	}
	if strings.Contains(a.out+a.err, "\x1b") {
		w.t.Errorf("%v writes escapes where there is no terminal:\n%s%s", args, a.out, a.err)
	}
	return a
}

// decide writes conditions as the manager does.
func (w *world) decide(o client.Object, conditions *[]metav1.Condition, set ...metav1.Condition) {
	w.t.Helper()
	w.must(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(o), o))
	*conditions = nil
	for _, c := range set {
		c.LastTransitionTime = metav1.Now()
		*conditions = append(*conditions, c)
	}
	w.must(w.admin.Status().Update(w.t.Context(), o))
}

// eventually waits for what another goroutine does.
func (w *world) eventually(what string, holds func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("within a minute it was not so that %s", what)
		}
	}
}

// TestAnEventFromItsStartToItsFiles runs the commands as a person would, beside an Event that is processed.
func TestAnEventFromItsStartToItsFiles(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	event := &mrev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "final"},
		Spec: mrev1.EventSpec{Program: "Cup", ProfileRef: mrev1.RevisionReference{Name: "soccer"},
			Source: mrev1.EventSource{File: &mrev1.FileSource{URL: "https://example.com/final.mp4"}}},
	}
	replay := &mrev1.Replay{
		ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "best-of"},
		Spec: mrev1.ReplaySpec{EventRef: mrev1.LocalReference{Name: "final"},
			Select: mrev1.ReplaySelection{ByDuration: &mrev1.SelectByDuration{DurationSeconds: 20},
				Features: []mrev1.FeatureWeight{{Plugin: "cuts", Attribute: "Goal", Weight: 50}}},
			Outputs: mrev1.ReplayOutputs{Resolutions: []string{"1280x720"}}},
	}
	w.want(0, []string{"There are no Events in namespace football."}, "status")
	w.create(event, replay)
	m := w.newMatch(event)
	m.broken, m.brokenChunk = true, 1

	// Before the manager has looked at it.
	w.want(0, []string{"final", "New"}, "status")
	w.want(0, []string{"the manager has not looked at it yet"}, "status", "final")
	w.want(1, []string{"error: ", "'kubectl mre status EVENT' says what it waits for"}, "segments", "final")
	w.want(0, []string{"final\tNew"}, "__complete", "watch", "")

	// In the middle, with a dead letter in chunk 1.
	m.begin()
	w.decide(event, &event.Status.Conditions,
		metav1.Condition{Type: mrev1.ConditionReady, Status: metav1.ConditionTrue, Reason: mrev1.ReasonProgressing})
	m.ingest(0, 2)
	m.work(api.PoolWork)
	w.want(0, []string{"Running", "Dead letters", "featurer crowd", "the model answers 503\n    Service Unavailable",
		"kubectl mre retry final", "the end of the source"}, "status", "final")
	w.want(0, []string{"Chunk 1", "closed, processed, 1 task failed", "try 1, Failed, held by final-worker-0", "units/0/"},
		"explain", "chunk", "final", "1")
	w.want(1, []string{"no chunk 77 yet"}, "explain", "final", "77")
	var view struct {
		DeadLetters []api.Task     `json:"deadLetters"`
		State       api.EventState `json:"state"`
	}
	w.must(json.Unmarshal([]byte(w.want(0, nil, "status", "final", "-o", "json").out), &view))
	if len(view.DeadLetters) != 1 || view.State.DeadLetters != 1 {
		t.Errorf("dead letters: %+v", view)
	}

	// Nobody obeys the annotation, then somebody does.
	w.want(1, []string{"mre.media/retry=", "none of the dead letters of event final was tried again within 1s",
		"deployment/mre-manager"}, "retry", "final", "--wait", "--timeout", "1s")
	m.broken = false
	w.must(w.admin.Get(ctx, client.ObjectKeyFromObject(event), event))
	go w.obeyRetry(ctx, m.uid, event.Annotations[mrev1.AnnotationRetry])
	w.want(0, []string{"tried again: 1 of 1 dead letter"}, "retry", "final", "--wait")
	m.work(api.PoolWork)
	w.want(0, []string{"has no dead letters"}, "retry", "final", "--wait")

	w.want(0, []string{"event final: spec.suspend=true"}, "suspend", "final")
	w.specIs(event, "suspend", true)
	w.want(0, []string{"event final: spec.suspend=false"}, "resume", "final")
	w.specIs(event, "suspend", false)
	w.want(0, []string{"event final: spec.finish=true"}, "finish", "final")
	w.specIs(event, "finish", true)

	// To its end, watched.
	var seen safe
	watched := make(chan answer, 1)
	go func() { watched <- w.runTo(ctx, &seen, w.person, "watch", "final") }()
	w.eventually("the watcher says something", func() bool {
		return strings.Contains(seen.String(), "football/final  Running")
	})
	m.ingest(2, matchUnits)
	m.work(api.PoolWork)
	m.work(api.PoolRender)
	_, err := w.manager.PutReplay(ctx, string(replay.UID), api.ReplayRules{
		EventUID: m.uid, Namespace: "football", Name: "best-of", Generation: 1, AudioTrack: 1,
		Resolutions: []string{"1280x720"}, Features: []api.FeatureRule{{Plugin: "cuts", Attribute: "Goal", Weight: 50}},
		ByDuration: api.ByDuration{DurationSeconds: 20, ToleranceSeconds: 5, Distribution: api.ByDurationDistributionByScore},
	})
	w.must(err)
	w.eventually("the Event is complete", func() bool {
		m.work(api.PoolRender)
		state, err := w.manager.Event(ctx, m.uid)
		w.must(err)
		return state.State == api.EventStateStateComplete && state.Progress.ReelsRendered == 1
	})
	w.decide(event, &event.Status.Conditions,
		metav1.Condition{Type: mrev1.ConditionComplete, Status: metav1.ConditionTrue, Reason: mrev1.ReasonCompleted})
	w.decide(replay, &replay.Status.Conditions,
		metav1.Condition{Type: mrev1.ConditionRendered, Status: metav1.ConditionTrue, Reason: mrev1.ReasonRendered})
	if a := <-watched; a.code != 0 || !strings.Contains(a.out,
		"football/final  Complete  ingest 3/3  framer 3/3  featurers 6/6") ||
		!strings.Contains(a.out, "chunk 3: closed ") || !strings.Contains(a.out, "its clip rendered after") {
		t.Errorf("watch ended with %d:\n%s%s", a.code, a.out, a.err)
	}
	w.want(0, []string{"final", "Complete", "1/1"}, "status")
	w.want(0, []string{"is Complete already: nothing to suspend"}, "suspend", "final")

	w.want(0, []string{"00:00:01:00   00:00:04:00   3.0s", "Goal! 1:0"}, "segments", "final")
	w.want(0, []string{"Rendered", "clips/000001-0/original-t1-m1-a1.mp4", "Locations are below s3://"}, "clips", "final")
	w.want(0, []string{"00:00:07:00   00:00:08:00   crowd", "Goal=true"}, "results", "final", "--plugin", "crowd")
	w.want(0, []string{"has no results of plugin x"}, "results", "final", "--plugin", "x")
	w.want(0, []string{"items:\n- attributes:"}, "segments", "final", "-o", "yaml")

	w.testDownload(m)
	w.testRefusals()

	broken := event.DeepCopy()
	broken.ObjectMeta = metav1.ObjectMeta{Namespace: "football", Name: "broken"}
	w.create(broken)
	w.decide(broken, &broken.Status.Conditions, metav1.Condition{Type: mrev1.ConditionFailed, Status: metav1.ConditionTrue,
		Reason: mrev1.ReasonSourceNotFound, Message: "404"})
	w.want(1, []string{"Event broken failed: SourceNotFound: 404"}, "watch", "broken")
	w.want(1, []string{"is Failed, which is final"}, "retry", "broken")
}

// obeyRetry does what the manager does when the annotation has another word than before.
func (w *world) obeyRetry(ctx context.Context, uid, before string) {
	for ctx.Err() == nil {
		var e mrev1.Event
		if err := w.admin.Get(ctx, client.ObjectKey{Namespace: "football", Name: "final"}, &e); err == nil &&
			e.Annotations[mrev1.AnnotationRetry] != before {
			if _, err := w.manager.Retry(ctx, uid, api.RetryRequest{ID: e.Annotations[mrev1.AnnotationRetry]}); err == nil {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *world) specIs(event *mrev1.Event, field string, want bool) {
	w.t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(mrev1.GroupVersion.WithKind("Event"))
	w.must(w.admin.Get(w.t.Context(), client.ObjectKeyFromObject(event), u))
	if got, _, err := unstructured.NestedBool(u.Object, "spec", field); err != nil || got != want {
		w.t.Errorf("spec.%s is %t, want %t (%v)", field, got, want, err)
	}
}

// testDownload fetches all, goes on with what was cut off, and finds what is there.
func (w *world) testDownload(m *match) {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "out")
	clips, err := w.manager.Clips(w.t.Context(), m.uid)
	w.must(err)
	first := clips[0]
	name := "clips/00-00-01-00_000001-0_original-t1_goal-1-0.mp4"
	path := filepath.Join(dir, name)
	want := mediaOf(first.Proof.Key)

	// Half of it is there, as a download that was killed leaves it.
	w.must(os.MkdirAll(filepath.Dir(path), 0o755))
	part := clusterclient.Download{Location: *first.Location, Path: path}.Partial()
	w.must(os.WriteFile(part, want[:len(want)/2], 0o644))
	w.want(0, []string{"2 of 2 files", "in " + dir}, "download", "final", "-d", dir, "--segment", "000001-0")
	got, err := os.ReadFile(path)
	w.must(err)
	if !bytes.Equal(got, want) {
		w.t.Errorf("%s differs from the object", name)
	}
	if len(w.ranges) != 1 || !strings.HasPrefix(w.ranges[0], "bytes=52") {
		w.t.Errorf("the parts that were asked for: %v", w.ranges)
	}
	w.want(0, []string{"10 of 10 files", "(1 were there)"}, "download", "final", "-d", dir)
	var names []string
	w.must(filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	}))
	if got, want := strings.Join(names, "\n"), strings.Join([]string{
		"clips/00-00-01-00_000001-0_original-t1_goal-1-0.jpg", name,
		"clips/00-00-07-00_000002-0_original-t1_goal-1-0.jpg", "clips/00-00-07-00_000002-0_original-t1_goal-1-0.mp4",
		"clips/00-00-13-00_000003-0_original-t1_goal-1-0.jpg", "clips/00-00-13-00_000003-0_original-t1_goal-1-0.mp4",
		"exports/event.json", "exports/track1.edl", "reels/best-of_1280x720.jpg", "reels/best-of_1280x720.mp4",
	}, "\n"); got != want {
		w.t.Errorf("files:\n%s\nwant:\n%s", got, want)
	}
	w.want(1, []string{`no segment "x"`}, "download", "final", "--segment", "x")
}

// testRefusals sees that an error says what to do.
func (w *world) testRefusals() {
	w.t.Helper()
	w.want(1, []string{"'kubectl mre status -A' lists"}, "status", "nothing")
	w.want(1, []string{"other than elsewhere", "--install-namespace"}, "segments",
		"final", "--install-namespace", "elsewhere")
	a := w.runTo(w.t.Context(), &safe{}, w.admin.Config, "segments", "final", "--install-namespace", "elsewhere")
	if a.code != 1 || !strings.Contains(a.err, "not installed in namespace elsewhere") {
		w.t.Errorf("another install's namespace: %+v", a)
	}
	w.want(2, []string{"See 'kubectl mre watch --help'"}, "watch")
	w.want(2, []string{"is not one of json, yaml"}, "segments", "final", "-o", "xml")
	w.want(2, []string{`"x" is not the number of a chunk`}, "explain", "final", "x")

	// Somebody who may see Events, but not the data plane.
	stranger := rest.CopyConfig(w.admin.Config)
	stranger.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:football:mre-agent"}
	a = w.runTo(w.t.Context(), &safe{}, stranger, "status")
	if a.code != 1 || !strings.Contains(a.err, "The roles view and edit of the cluster include the kinds") {
		w.t.Errorf("a stranger: %+v", a)
	}
	stranger.Impersonate = rest.ImpersonationConfig{UserName: "luigi"}
	w.bind("mre-event-editor", "football", "luigi")
	a = w.runTo(w.t.Context(), &safe{}, stranger, "segments", "final")
	if a.code != 1 || !strings.Contains(a.err, "kubectl -n mre-system create rolebinding") {
		w.t.Errorf("without the Role mre-viewer: %+v", a)
	}

	// The same with an account of the namespace, which may and may not view its Events.
	a = w.runTo(w.t.Context(), &safe{}, w.admin.Config, "segments", "final", "--as-service-account", "reporter")
	if a.code != 1 || !strings.Contains(a.err, "is not NAMESPACE/NAME") {
		w.t.Errorf("an account without a namespace: %+v", a)
	}
	reporter := []string{"segments", "final", "--as-service-account", "football/reporter"}
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "reporter"}})
	w.admit("luigi", "reporter")
	if a = w.runTo(w.t.Context(), &safe{}, stranger, reporter...); a.code != 1 ||
		!strings.Contains(a.err, "the right to get events/data") {
		w.t.Errorf("an account that may not view Events: %+v", a)
	}
	w.create(&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "football", Name: "editor"}})
	w.admit("luigi", "editor")
	w.bind("mre-event-viewer", "football", "system:serviceaccount:football:editor")
	if a = w.runTo(w.t.Context(), &safe{}, stranger, "segments",
		"final", "--as-service-account", "football/editor"); a.code != 0 {
		w.t.Errorf("an account that may view Events: %+v", a)
	}
}
