// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types. Ready is computed from the others and never set by hand.
const (
	// ConditionReady is true while the object is accepted and healthy. A running Event is Ready.
	ConditionReady = "Ready"
	// ConditionReconciling is true while the controller is working towards the spec (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is true when the controller cannot go on until somebody changes something (kstatus).
	ConditionStalled = "Stalled"
	// ConditionReferencesResolved is true when every object that the spec names exists and fits.
	ConditionReferencesResolved = "ReferencesResolved"
	// ConditionSourceReady is true when the Event's source was opened and probed.
	ConditionSourceReady = "SourceReady"
	// ConditionComplete is terminal: the Event was processed to its end.
	ConditionComplete = "Complete"
	// ConditionFailed is terminal: the Event cannot be processed.
	ConditionFailed = "Failed"
	// ConditionSuspended is true while the Event rests because its spec says so. It is absent until it first did.
	ConditionSuspended = "Suspended"
	// ConditionSelected is true when the Replay has a plan.
	ConditionSelected = "Selected"
	// ConditionRendered is true when every output of the Replay's current plan is rendered.
	ConditionRendered = "Rendered"
)

// Condition reasons. They are also the reasons of the Kubernetes Events that mark transitions.
const (
	// ReasonAccepted says the spec is valid and all it needs is there.
	ReasonAccepted = "Accepted"
	// ReasonResolved says every reference was found.
	ReasonResolved = "Resolved"
	// ReasonReferenceNotFound says an object that the spec names does not exist (yet).
	ReasonReferenceNotFound = "ReferenceNotFound"
	// ReasonRevisionNotFound says a revision that the spec pins does not exist (any more).
	ReasonRevisionNotFound = "RevisionNotFound"
	// ReasonReferenceNotReady says an object that the spec names exists but is not Ready.
	ReasonReferenceNotReady = "ReferenceNotReady"
	// ReasonWrongClass says a plugin is used in a role that its class does not allow.
	ReasonWrongClass = "WrongClass"
	// ReasonWrongMediaType says a Plugin names another media type than its runtime looks at.
	ReasonWrongMediaType = "WrongMediaType"
	// ReasonModelNotAllowed says a Profile picks a Model that the Plugin does not list, or whose class differs.
	ReasonModelNotAllowed = "ModelNotAllowed"
	// ReasonDependencyCycle says plugins depend on each other in a circle; the message names the path.
	ReasonDependencyCycle = "DependencyCycle"
	// ReasonInvalidMREName says the annotation mre.media/mre-name of a Plugin is no name of MRE's, or is the name of
	// another Plugin of the Profile, too, so that MRE's plugins could not tell the two apart.
	ReasonInvalidMREName = "InvalidMREName"
	// ReasonUnknownBuiltin says spec.runtime.builtin.name is no built-in plugin of this version.
	ReasonUnknownBuiltin = "UnknownBuiltin"
	// ReasonInvalidConfiguration says a plugin refuses its configuration; the message names the field.
	ReasonInvalidConfiguration = "InvalidConfiguration"
	// ReasonInvalidPod says a plugin's container or a pod template makes no valid pod; the message names the field.
	ReasonInvalidPod = "InvalidPod"
	// ReasonModelNotReady says the Model's server answers that the model is not ready.
	ReasonModelNotReady = "ModelNotReady"
	// ReasonModelUnreachable says the Model's server does not answer.
	ReasonModelUnreachable = "ModelUnreachable"
	// ReasonPluginStartFailed says a plugin's process does not come to ask for work; the message names the
	// plugin and what it said.
	ReasonPluginStartFailed = "PluginStartFailed"
	// ReasonPluginCrashing says a plugin's process ended while it had work, and is started again; the message
	// names the plugin and what it said.
	ReasonPluginCrashing = "PluginCrashing"
	// ReasonPluginTimingOut says a plugin took longer than its timeoutSeconds and was started again; the
	// message names it.
	ReasonPluginTimingOut = "PluginTimingOut"
	// ReasonWaitingForReferences says the work has not begun because a reference is missing.
	ReasonWaitingForReferences = "WaitingForReferences"
	// ReasonProgressing says the pipeline is running.
	ReasonProgressing = "Progressing"
	// ReasonSourceOpened says the source was probed and is being ingested, or was ingested whole.
	ReasonSourceOpened = "SourceOpened"
	// ReasonSourcePending says ingest has not reported yet.
	ReasonSourcePending = "SourcePending"
	// ReasonSourceNotFound says the source's address answers that nothing is there.
	ReasonSourceNotFound = "SourceNotFound"
	// ReasonSourceUnreachable says the source's address does not answer.
	ReasonSourceUnreachable = "SourceUnreachable"
	// ReasonSourceNotSeekable says the source's server serves no parts of a file, and the file cannot be read without.
	ReasonSourceNotSeekable = "SourceNotSeekable"
	// ReasonSourceEmpty says the source has no bytes.
	ReasonSourceEmpty = "SourceEmpty"
	// ReasonSourceCorrupt says the source cannot be decoded.
	ReasonSourceCorrupt = "SourceCorrupt"
	// ReasonNoVideo says the source has no video stream.
	ReasonNoVideo = "NoVideo"
	// ReasonIngestFailed says ingest stopped for a reason of its own; the message says which.
	ReasonIngestFailed = "IngestFailed"
	// ReasonIngestFailing says the last try of ingest ended before the source did, and another one is made; the message
	// says why.
	ReasonIngestFailing = "IngestFailing"
	// ReasonCompleted says all work is done.
	ReasonCompleted = "Completed"
	// ReasonCompletedWithFailures says the Event was processed to its end, and something is missing; the message says
	// what, how much of it, and what failed first.
	ReasonCompletedWithFailures = "CompletedWithFailures"
	// ReasonDrainTimedOut says work that was left at the end did not finish in drainTimeoutSeconds.
	ReasonDrainTimedOut = "DrainTimedOut"
	// ReasonPluginFailed says a plugin whose policy is FailEvent failed for good; the message names it and the chunk.
	ReasonPluginFailed = "PluginFailed"
	// ReasonSuspended says the Event rests because spec.suspend is true.
	ReasonSuspended = "Suspended"
	// ReasonResumed says the Event goes on after it has rested.
	ReasonResumed = "Resumed"
	// ReasonFinishing says spec.finish ended the source, and the rest is being processed.
	ReasonFinishing = "Finishing"
	// ReasonWaitingForWorkers says other Events have all the workers that the install allows.
	ReasonWaitingForWorkers = "WaitingForWorkers"
	// ReasonJobsFailing says the Jobs of a slot end soon after their start, again and again; the message says
	// what the last one said.
	ReasonJobsFailing = "JobsFailing"
	// ReasonNamespaceTerminating says nothing can be made any more, as the namespace is being removed.
	ReasonNamespaceTerminating = "NamespaceTerminating"
	// ReasonRetried is the reason of the Kubernetes Event that tells what came of a retry.
	ReasonRetried = "Retried"
	// ReasonRetryRefused is the reason of the Kubernetes Event that tells why there is no retry.
	ReasonRetryRefused = "RetryRefused"
	// ReasonDataPlaneUnavailable says the data plane does not answer; the controller tries again.
	ReasonDataPlaneUnavailable = "DataPlaneUnavailable"
	// ReasonStorageUnavailable says the bucket is gone or does not answer; the message names it and says what to do.
	ReasonStorageUnavailable = "StorageUnavailable"
	// ReasonEventNotFound says the Replay's Event does not exist (yet).
	ReasonEventNotFound = "EventNotFound"
	// ReasonWaitingForEvent says the Replay waits until its Event is Complete.
	ReasonWaitingForEvent = "WaitingForEvent"
	// ReasonNoMatch says no segment matches the Replay's rules.
	ReasonNoMatch = "NoMatch"
	// ReasonPlanned says segments were selected.
	ReasonPlanned = "Planned"
	// ReasonRendering says outputs are being rendered.
	ReasonRendering = "Rendering"
	// ReasonRendered says every output is there.
	ReasonRendered = "Rendered"
	// ReasonRenderFailed says an output could not be rendered; the message names it and why.
	ReasonRenderFailed = "RenderFailed"
	// ReasonEventFailed says the Replay's Event failed.
	ReasonEventFailed = "EventFailed"
	// ReasonPlanConflict says the data plane holds something else under the object's UID.
	ReasonPlanConflict = "PlanConflict"
	// ReasonStartDeadlineExceeded says a Job's pod does not come to run; the message says what it waits for.
	ReasonStartDeadlineExceeded = "StartDeadlineExceeded"
	// ReasonJobNotCreated says the API server refuses a Job, such as for a quota.
	ReasonJobNotCreated = "JobNotCreated"
	// ReasonJobReplaced is the reason of the Kubernetes Event that tells of a failed Job and its successor.
	ReasonJobReplaced = "JobReplaced"
	// ReasonForceDeleted is the reason of the Kubernetes Event that tells of an end forced by annotation.
	ReasonForceDeleted = "ForceDeleted"
	// ReasonDeleting says the object is being removed; the message says what is left.
	ReasonDeleting = "Deleting"
)

// Names that the operator puts on objects it makes or keeps.
const (
	// Finalizer keeps an object until what it owns outside the API server is gone.
	Finalizer = "mre.media/finalizer"
	// LabelEventUID marks Jobs of an Event with the Event's UID.
	LabelEventUID = "mre.media/event-uid"
	// LabelEvent marks Jobs of an Event with the Event's name.
	LabelEvent = "mre.media/event"
	// LabelRole says what a Job does: ingest, worker or render.
	LabelRole = "mre.media/role"
	// LabelPool is the named pool whose plugins a worker Job runs. Jobs that run everything else do not have it.
	LabelPool = "mre.media/pool"
	// LabelOrdinal is the slot number of a worker or render Job.
	LabelOrdinal = "mre.media/ordinal"
	// LabelAttempt counts the Jobs that a slot has had.
	LabelAttempt = "mre.media/attempt"
	// AnnotationQuickFailures counts the Jobs of a slot that failed soon after their start, one after
	// the other; the next one is held back accordingly.
	AnnotationQuickFailures = "mre.media/quick-failures"
	// LabelRevisionKind and LabelRevisionOf say what a ControllerRevision is a revision of.
	LabelRevisionKind = "mre.media/revision-kind"
	LabelRevisionOf   = "mre.media/revision-of"
	// AnnotationRevisions names the revisions that an Event's snapshot was made from.
	AnnotationRevisions = "mre.media/revisions"
	// AnnotationMREName is the name that MRE had for an object. MRE's plugins see a Plugin under it.
	AnnotationMREName = "mre.media/mre-name"
	// AnnotationLastWords is what the pod of a slot's Job before said last, when the slot fails again and again.
	AnnotationLastWords = "mre.media/last-words"
	// AnnotationRetry asks for another try of the Event's dead letters. Its value is any word that was not
	// used before, of at most 128 characters.
	AnnotationRetry = "mre.media/retry"
	// AnnotationForceDelete ends the deletion of an object whose media, rows or Jobs cannot be removed,
	// when its value is "true". What it owned may stay behind.
	AnnotationForceDelete = "mre.media/force-delete"
)
