// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/source"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// EventReconciler hands an Event's plan to the data plane, keeps its Jobs and shows how far it has come.
type EventReconciler struct {
	Client client.Client
	// Live reads past the cache, where acting on an old picture would leave something behind.
	Live      client.Reader
	DataPlane DataPlane
	Recorder  events.EventRecorder
	Clock     clock.PassiveClock
	Options   Options
	// Feed brings Events that changed in the data plane.
	Feed <-chan event.TypedGenericEvent[*mrev1.Event]

	surroundings surroundings
	pace         pace
	// runs is what the data plane was told last; forgetting it costs a call.
	runs memory[api.Run]
	pool workerPool
}

// eventScope is one pass over one Event.
type eventScope struct {
	before *mrev1.Event
	event  *mrev1.Event
	now    time.Time
	// state is what the data plane knows; nil while it does not know the Event.
	state *api.EventState
	// bounds and pods are what the Event took from its Profile when it started.
	bounds bounds
	pods   podNeeds
	// needs are the roles that there is work for.
	needs needs
	// finding keeps the Event from being Ready.
	finding *Finding
	// say are Kubernetes Events that are not transitions of a condition.
	say []announcement
	// after is when to look again; zero for never.
	after time.Duration
}

func (s *eventScope) conditions() conditions {
	return conditions{list: &s.event.Status.Conditions, generation: s.event.Generation, now: s.now}
}

func (s *eventScope) again(after time.Duration) {
	if s.after == 0 || after < s.after {
		s.after = after
	}
}

// ended is the time since the Event became Complete or Failed, negative while it runs.
func (s *eventScope) ended() time.Duration {
	if c := ending(s.event); c != nil {
		return max(0, s.now.Sub(c.LastTransitionTime.Time))
	}
	return -1
}

// ending is the condition that says that an Event is over.
func ending(e *mrev1.Event) *metav1.Condition {
	for _, kind := range []string{mrev1.ConditionComplete, mrev1.ConditionFailed} {
		if c := meta.FindStatusCondition(e.Status.Conditions, kind); c != nil && c.Status == metav1.ConditionTrue {
			return c
		}
	}
	return nil
}

func hasEnded(e *mrev1.Event) bool { return ending(e) != nil }

// The right to update finalizers is for clusters that guard the field blockOwnerDeletion, which the Jobs'
// owner references have.
// +kubebuilder:rbac:groups=mre.media,resources=events,verbs=get;list;patch;watch
// +kubebuilder:rbac:groups=mre.media,resources=events/finalizers,verbs=update
// +kubebuilder:rbac:groups=mre.media,resources=events/status,verbs=patch
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=create;delete;get;list;patch;watch
// +kubebuilder:rbac:groups=batch,resources=jobs,verbs=create;delete;get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=list
// +kubebuilder:rbac:groups="",resources=services,verbs=get
// +kubebuilder:rbac:groups="",resources=serviceaccounts,resourceNames=mre-agent,verbs=create;patch
// +kubebuilder:rbac:groups=networking.k8s.io,resources=networkpolicies,verbs=create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Reconcile is one pass: observe, decide, apply, write the status once.
func (r *EventReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	var e mrev1.Event
	if err := r.Client.Get(ctx, req.NamespacedName, &e); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if !e.DeletionTimestamp.IsZero() {
		return settle(r.finalize(ctx, &e))
	}
	if err := addFinalizer(ctx, r.Client, &e); err != nil {
		return settle(ctrl.Result{}, err)
	}
	s := &eventScope{before: e.DeepCopy(), event: &e, now: r.Clock.Now()}
	err := r.reconcile(ctx, s)
	if werr := r.writeStatus(ctx, s); werr != nil {
		return settle(ctrl.Result{}, werr)
	}
	return settle(ctrl.Result{RequeueAfter: s.after}, err)
}

// reconcile is the ladder. Each rung leaves the Event's status as it should be when the rung is the last.
func (r *EventReconciler) reconcile(ctx context.Context, s *eventScope) error {
	if s.ended() < 0 {
		s.again(r.Options.Resync)
	}
	if ok, err := r.observeState(ctx, s); err != nil || !ok {
		return err
	}
	setSuspended(s)
	if s.state == nil {
		if suspended(s.event) {
			s.conditions().ready(mrev1.ReasonSuspended, "The Event has not started, as spec.suspend is true")
			return nil
		}
		if ok, err := r.start(ctx, s); err != nil || !ok {
			return err
		}
	}
	if err := r.adopt(ctx, s); err != nil {
		return err
	}
	return r.run(ctx, s)
}

// run is the part of the ladder for an Event that has started.
func (r *EventReconciler) run(ctx context.Context, s *eventScope) error {
	for _, step := range []func(context.Context, *eventScope) (bool, error){r.finish, r.retry} {
		if ok, err := step(ctx, s); err != nil || !ok {
			return err
		}
	}
	setEventStatus(s)
	s.needs = neededRoles(*s.state, suspended(s.event), s.bounds)
	if s.needs.any() {
		s.again(r.Options.Resync)
	}
	if ok, err := r.size(ctx, s); err != nil || !ok {
		return err
	}
	err := r.reconcileJobs(ctx, s)
	// Without the bucket Jobs fail as well; what they say comes second.
	s.finding = firstOf(checkStorage(s.state, suspended(s.event)), checkIngest(s.state), s.finding)
	setEventReady(s)
	return err
}

// observeState asks the data plane. It returns false when there is nothing to act on.
func (r *EventReconciler) observeState(ctx context.Context, s *eventScope) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	state, err := r.DataPlane.Event(ctx, string(s.event.UID))
	switch {
	case err == nil && state.PlanHash != "":
		s.state = &state
	case err == nil || notFound(err):
		// An Event that has ended is not started again, whatever became of the data plane's rows.
		return s.ended() < 0, nil
	case gone(err):
		// Somebody deleted it past the API server. Its rows are going, and nothing brings them back.
		if s.ended() < 0 {
			s.finding = stalled(mrev1.ReasonPlanConflict,
				"the data plane has deleted this Event (UID %s): make a new Event", s.event.UID)
			s.conditions().notReady(*s.finding)
		}
		return false, nil
	default:
		r.outage(ctx, s, err)
		return false, nil
	}
	return true, nil
}

// outage leaves everything as it is and tries again soon.
func (r *EventReconciler) outage(ctx context.Context, s *eventScope, err error) {
	log.FromContext(ctx).Info("Calling the data plane failed", "event", klog.KObj(s.event), "reason", err.Error())
	s.again(outagePause)
	r.runs.forget(s.event.UID)
	if s.ended() < 0 {
		s.finding = unavailable(err)
		s.conditions().notReady(*s.finding)
	}
}

// start hands the plan over, once all that it needs is there.
func (r *EventReconciler) start(ctx context.Context, s *eventScope) (bool, error) {
	snap, err := readSnapshot(ctx, r.Client, s.event)
	if err != nil {
		return false, err
	}
	if snap == nil {
		snap, err = r.compile(ctx, s)
		if namespaceTerminates(err) {
			s.finding = terminating()
			s.conditions().notReady(*s.finding)
			return false, nil
		}
		if err != nil || snap == nil {
			return false, err
		}
	}
	log.FromContext(ctx).Info("Storing the plan", "event", klog.KObj(s.event), "plan", snap.Plan.Hash)
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	state, err := r.DataPlane.PutPlan(call, string(s.event.UID), snap.Plan)
	switch {
	case err == nil:
	case refused(err):
		s.finding = stalled(mrev1.ReasonPlanConflict, "the data plane refuses the Event's plan: %v", err)
		s.conditions().notReady(*s.finding)
		return false, r.dropSnapshot(ctx, s.event)
	default:
		r.outage(ctx, s, err)
		return false, nil
	}
	s.state = &state
	return true, nil
}

// compile makes the plan from what is there now and keeps it; nil while something is missing.
func (r *EventReconciler) compile(ctx context.Context, s *eventScope) (*snapshot, error) {
	cat, err := loadCatalogue(ctx, r.Client, s.event.Namespace)
	if err != nil {
		return nil, err
	}
	profile, finding, err := r.resolveProfile(ctx, s.event, cat)
	if err != nil {
		return nil, err
	}
	if finding != nil {
		setEventWaiting(s, *finding)
		return nil, nil
	}
	pods := cat.podNeeds(profile)
	snap := &snapshot{Processing: boundsOf(profile.Spec.Processing, pods.namedPools()), Pods: pods}
	if snap.Plan, err = cat.compilePlan(s.event, profile); err != nil {
		return nil, err
	}
	snap.Processing.NoClips = !snap.Plan.Clips.Original && !snap.Plan.Clips.Optimized
	revision, err := revisionOf(kindProfile, profile, profile.Spec)
	if err != nil {
		return nil, err
	}
	snap.ProfileRevision = revision.Name
	return r.storeSnapshot(ctx, s.event, snap)
}

// adopt notes what the Event runs with. The data plane's plan is the truth: it may have been stored in a
// pass that did not live to write the status.
func (r *EventReconciler) adopt(ctx context.Context, s *eventScope) error {
	s.event.Status.PlanHash = s.state.PlanHash
	snap, err := readSnapshot(ctx, r.Client, s.event)
	if err != nil {
		return err
	}
	if snap == nil {
		// The cache may not show it yet.
		if snap, err = readSnapshot(ctx, r.Live, s.event); err != nil {
			return err
		}
	}
	if snap != nil {
		s.bounds, s.pods, s.event.Status.ProfileRevision = snap.Processing, snap.Pods, snap.ProfileRevision
		return nil
	}
	// It is gone, and the Profile is the best that is left.
	var p mrev1.Profile
	err = r.Client.Get(ctx, client.ObjectKey{Namespace: s.event.Namespace, Name: s.event.Spec.ProfileRef.Name}, &p)
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading Profile %s: %w", s.event.Spec.ProfileRef.Name, err)
	}
	cat, err := loadCatalogue(ctx, r.Client, s.event.Namespace)
	if err != nil {
		return err
	}
	s.pods = cat.podNeeds(&p)
	s.bounds = boundsOf(p.Spec.Processing, s.pods.namedPools())
	return nil
}

// resolveProfile finds the Event's Profile, in the revision that it pins, and checks it and all that it names.
func (r *EventReconciler) resolveProfile(ctx context.Context, e *mrev1.Event,
	cat *Catalogue) (*mrev1.Profile, *Finding, error) {
	var p mrev1.Profile
	ref := e.Spec.ProfileRef
	err := r.Client.Get(ctx, client.ObjectKey{Namespace: e.Namespace, Name: ref.Name}, &p)
	if apierrors.IsNotFound(err) {
		return nil, waiting(mrev1.ReasonReferenceNotFound, "spec.profileRef: Profile %s not found", ref.Name), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading Profile %s: %w", ref.Name, err)
	}
	if ref.Revision != "" {
		spec, f := pinnedSpec[mrev1.ProfileSpec](cat, "spec.profileRef.revision", kindProfile, ref)
		if f != nil {
			return nil, f, nil
		}
		p.Spec = spec
	}
	if f := cat.checkProfile(&p); f != nil {
		return nil, &Finding{Reason: mrev1.ReasonReferenceNotReady, Next: f.Next,
			Message: fmt.Sprintf("spec.profileRef: Profile %s is not ready: %s: %s", p.Name, f.Reason, f.Message)}, nil
	}
	return &p, nil, nil
}

// reconcileJobs compares the Event's Jobs with the work that is left.
func (r *EventReconciler) reconcileJobs(ctx context.Context, s *eventScope) error {
	jobs, err := listJobs(ctx, r.Client, s.event)
	if err != nil {
		return err
	}
	observed := observeJobs(jobs)
	plan := planJobs(JobsWanted{
		Slots: wantedJobs(s.needs, s.event.Status.Slots), Leaving: s.leaving(), Recycles: s.bounds.RecycleAfterChunks > 0,
	}, observed, s.now)
	if plan.After > 0 {
		s.again(plan.After)
	}
	if err := r.applyJobs(ctx, s, plan); err != nil {
		if s.ended() < 0 {
			s.finding = refusedJob(err)
		}
		if s.finding != nil && s.finding.Reason == mrev1.ReasonNamespaceTerminating {
			s.again(r.Options.Resync)
			return nil
		}
		return err
	}
	f, err := r.checkLateStarts(ctx, s, observed)
	if err != nil {
		return err
	}
	if s.ended() < 0 && !suspended(s.event) {
		failing, after := checkFailing(observed, s.now)
		if after > 0 {
			s.again(after)
		}
		sick, err := r.checkPluginHealth(ctx, s)
		if err != nil {
			return err
		}
		s.finding = firstOf(f, failing, sick, s.finding)
	}
	return nil
}

// refusedJob says why the API server takes no Job.
func refusedJob(err error) *Finding {
	if namespaceTerminates(err) {
		return terminating()
	}
	return waiting(mrev1.ReasonJobNotCreated, "%v", err)
}

func terminating() *Finding {
	return waiting(mrev1.ReasonNamespaceTerminating, "the namespace is being removed; nothing can be made in it any more")
}

// namespaceTerminates tells whether the API server refused to make something for that reason. It will refuse
// for as long as the namespace is there, so that trying again soon is of no use.
func namespaceTerminates(err error) bool {
	return apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause)
}

func firstOf(findings ...*Finding) *Finding {
	for _, f := range findings {
		if f != nil {
			return f
		}
	}
	return nil
}

func (r *EventReconciler) applyJobs(ctx context.Context, s *eventScope, plan JobsPlan) error {
	logger := log.FromContext(ctx)
	if len(plan.Create) > 0 {
		reach := func() ([]PoolEgress, error) { return poolEgress(ctx, r.Live, s.event.Namespace, s.pods) }
		if err := r.surroundings.ensure(ctx, r.Client, s.event, r.Options, reach, s.now); err != nil {
			return err
		}
	}
	lastWords, err := r.lastWords(ctx, s.event, plan.Create)
	if err != nil {
		return err
	}
	for _, j := range plan.Create {
		if j.Replaces != nil {
			j.LastWords = lastWords[j.Replaces.Name]
		}
		j.RecycleAfterChunks = s.bounds.RecycleAfterChunks
		job := buildJob(s.event, j, s.pods, r.Options)
		logger.Info("Creating a Job", "event", klog.KObj(s.event), "job", klog.KObj(job))
		made, err := createJob(ctx, r.Client, job)
		if err != nil {
			return err
		}
		if made && j.Replaces != nil {
			s.say = append(s.say, announcement{Type: corev1.EventTypeWarning, Reason: mrev1.ReasonJobReplaced,
				Message: fmt.Sprintf("Job %s failed; Job %s takes its place", j.Replaces.Name, job.Name)})
		}
	}
	for _, name := range plan.Delete {
		logger.Info("Deleting a Job", "event", klog.KObj(s.event), "job", klog.KRef(s.event.Namespace, name))
		if err := deleteJob(ctx, r.Client, s.event.Namespace, name); err != nil {
			return err
		}
	}
	return nil
}

// lastWords reads what the pods of failing Jobs said at their end. It asks for pods only when a slot fails again
// and again, so that the manager need not watch them.
func (r *EventReconciler) lastWords(ctx context.Context, e *mrev1.Event, create []NewJob) (map[string]string, error) {
	if !slices.ContainsFunc(create, func(j NewJob) bool {
		return j.Replaces != nil && j.QuickFailures >= quickFailuresForgiven
	}) {
		return nil, nil
	}
	pods, err := listPods(ctx, r.Live, e)
	if err != nil {
		return nil, err
	}
	return lastWordsOf(pods), nil
}

// checkLateStarts looks at pods only when a Job is late, so that the manager need not watch pods.
func (r *EventReconciler) checkLateStarts(ctx context.Context, s *eventScope, jobs []ObservedJob) (*Finding, error) {
	if s.ended() >= 0 || !anyLate(jobs, r.Options.StartDeadline, s.now) {
		return nil, nil
	}
	pods, err := listPods(ctx, r.Live, s.event)
	if err != nil {
		return nil, err
	}
	return checkStarts(jobs, pods, s.pods.images(), r.Options.StartDeadline, s.now), nil
}

// writeStatus patches the status when it changed. What only counts is held back, so that an Event costs
// few writes however many chunks it has.
func (r *EventReconciler) writeStatus(ctx context.Context, s *eventScope) error {
	s.event.Status.ObservedGeneration = s.event.Generation
	switch compareStatus(&s.before.Status, &s.event.Status) {
	case statusSame:
		for _, a := range s.say {
			announce(r.Recorder, s.event, a)
		}
		return nil
	case statusCounts:
		if wait := r.pace.wait(s.event.UID, r.Options.StatusInterval, s.now); wait > 0 {
			s.again(wait)
			for _, a := range s.say {
				announce(r.Recorder, s.event, a)
			}
			return nil
		}
	}
	say := append(transitions(s.before.Status.Conditions, s.event.Status.Conditions), s.say...)
	if err := patchStatus(ctx, r.Client, r.Recorder, s.before, s.event, say); err != nil {
		return err
	}
	r.pace.put(s.event.UID, s.now)
	return nil
}

// SetupWithManager wires the reconciler.
func (r *EventReconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.pool.nudges = make(chan event.TypedGenericEvent[*mrev1.Event], feedBuffer)
	return ctrl.NewControllerManagedBy(mgr).
		For(&mrev1.Event{}, specOrMetadataChanged()).
		Owns(&batchv1.Job{}, jobMoved()).
		Watches(&mrev1.Profile{}, handler.EnqueueRequestsFromMapFunc(r.waitingForProfile)).
		Watches(&mrev1.Replay{}, handler.EnqueueRequestsFromMapFunc(eventOfReplay)).
		WatchesRawSource(source.Channel(r.Feed, coalesced[*mrev1.Event]())).
		WatchesRawSource(source.Channel(r.pool.nudges, coalesced[*mrev1.Event]())).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4, ReconciliationTimeout: time.Minute}).
		Complete(r)
}

// waitingForProfile maps a Profile to the Events that have not started yet.
func (r *EventReconciler) waitingForProfile(ctx context.Context, o client.Object) []ctrl.Request {
	var list mrev1.EventList
	if err := r.Client.List(ctx, &list, client.InNamespace(o.GetNamespace()),
		client.MatchingFields{indexEventProfile: o.GetName()}); err != nil {
		log.FromContext(ctx).Error(err, "Listing the Events of a Profile", "profile", klog.KObj(o))
		return nil
	}
	var out []ctrl.Request
	for i := range list.Items {
		if list.Items[i].Status.PlanHash == "" {
			out = append(out, ctrl.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return out
}

// eventOfReplay maps a Replay to its Event, whose render Jobs may be wanted again.
func eventOfReplay(_ context.Context, o client.Object) []ctrl.Request {
	replay, ok := o.(*mrev1.Replay)
	if !ok {
		return nil
	}
	return []ctrl.Request{{NamespacedName: client.ObjectKey{Namespace: replay.Namespace, Name: replay.Spec.EventRef.Name}}}
}

func addFinalizer(ctx context.Context, c client.Client, o client.Object) error {
	before := o.DeepCopyObject().(client.Object)
	if !controllerutil.AddFinalizer(o, mrev1.Finalizer) {
		return nil
	}
	if err := c.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("adding the finalizer: %w", err)
	}
	return nil
}

func removeFinalizer(ctx context.Context, c client.Client, o client.Object) error {
	before := o.DeepCopyObject().(client.Object)
	if !controllerutil.RemoveFinalizer(o, mrev1.Finalizer) {
		return nil
	}
	err := c.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("removing the finalizer: %w", err)
	}
	return nil
}
