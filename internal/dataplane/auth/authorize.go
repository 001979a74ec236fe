// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
)

// ErrForbidden says that the caller is known and may not do this.
var ErrForbidden = errors.New("forbidden")

// Role is what an operation asks for.
type Role int

const (
	// Nobody is the zero value, so that an operation missing in the table is refused.
	Nobody Role = iota
	// Anybody needs no token.
	Anybody
	// Viewer reads.
	Viewer
	// Agent does the work of one Event.
	Agent
	// Reader is a Viewer, or an Agent for its own namespace's Events: what plugins ask for.
	Reader
	// Manager writes plans and deletes.
	Manager
)

// required is the one place that says who may call what, by operation as the generated code writes it. The
// manager may call everything.
var required = map[string]Role{
	"GetHealth":    Anybody,
	"GetReadiness": Anybody,

	"PutPlan":      Manager,
	"PutRun":       Manager,
	"FinishEvent":  Manager,
	"RetryTasks":   Manager,
	"DeleteEvent":  Manager,
	"PutReplay":    Manager,
	"DeleteReplay": Manager,
	"ListChanges":  Manager,

	"GetIngest":     Agent,
	"PutTimeline":   Agent,
	"MintUnitURL":   Agent,
	"RegisterUnit":  Agent,
	"EndSource":     Agent,
	"AddIngestPart": Agent,
	"FailSource":    Agent,
	"LeaseTask":     Agent,
	"HeartbeatTask": Agent,
	"CompleteTask":  Agent,
	"FailTask":      Agent,
	"ReleaseTask":   Agent,

	"PutIngestProblem": Agent,
	"PutPluginHealth":  Agent,
	"SwapVariable":     Agent,
	"PutFeedback":      Agent,

	"GetEvent":     Reader,
	"GetPlan":      Reader,
	"GetVariables": Reader,
	"ListChunks":   Reader,
	"ListResults":  Reader,
	"ListSegments": Reader,
	"ListClips":    Reader,
	"ListFeedback": Reader,

	"GetReplay":       Viewer,
	"ExplainChunk":    Viewer,
	"ListUnits":       Viewer,
	"ListTasks":       Viewer,
	"ExportEvent":     Viewer,
	"ExportEDL":       Viewer,
	"MintDownloadURL": Viewer,
}

// Required names the role that an operation of the API asks for.
func Required(operation string) Role { return required[operation] }

// Authorize refuses with ErrForbidden what a caller with a role of ours may not do. event is the UID that the
// operation's path names, and namespace tells where that Event is; it is asked for agents only, and its error is
// handed through.
func Authorize(caller Identity, operation, event string, namespace func() (string, error)) error {
	role := Required(operation)
	switch {
	case role == Nobody:
		return fmt.Errorf("%w: %s is open to nobody", ErrForbidden, operation)
	case role == Anybody || caller.Manager:
		return nil
	case (role == Viewer || role == Reader) && caller.Viewer:
		return nil
	case (role == Agent || role == Reader) && caller.AgentOf != "":
		return authorizeAgent(caller, event, namespace)
	default:
		return fmt.Errorf("%w: %s may not call %s", ErrForbidden, caller.Name, operation)
	}
}

// authorizeAgent lets an agent work for its own Event. The namespace is that of the data plane's rows: it must be
// the one in which the cluster says that the Event is.
func authorizeAgent(caller Identity, event string, namespace func() (string, error)) error {
	if caller.AgentOfEvent == "" {
		return fmt.Errorf("%w: %s works for no Event: %s", ErrForbidden, caller.Name, caller.NoEvent)
	}
	if event != caller.AgentOfEvent {
		return fmt.Errorf("%w: %s works for the Event with UID %s only", ErrForbidden, caller.Name, caller.AgentOfEvent)
	}
	where, err := namespace()
	if err != nil {
		return err
	}
	if where != caller.AgentOf {
		return fmt.Errorf("%w: %s works for Events of its own namespace only", ErrForbidden, caller.Name)
	}
	return nil
}
