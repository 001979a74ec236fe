// SPDX-License-Identifier: Apache-2.0

// Package auth says who calls the data plane and what they may do: a ServiceAccount token is checked by TokenReview,
// the pod of an agent's token leads to the Event that it works for, and one table names the role that every
// operation asks for. Who has no role of ours is judged by the cluster's own rules (SubjectAccessReview).
package auth

import (
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// Audience is what a token must be made for.
const Audience = "mre.media/dataplane"

// ServiceAccount names an account.
type ServiceAccount struct{ Namespace, Name string }

// ParseServiceAccount reads NAMESPACE/NAME.
func ParseServiceAccount(s string) (ServiceAccount, error) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return ServiceAccount{}, fmt.Errorf("service account %q is not NAMESPACE/NAME", s)
	}
	return ServiceAccount{Namespace: namespace, Name: name}, nil
}

func (a ServiceAccount) String() string { return a.Namespace + "/" + a.Name }

// fromUsername reads the name that the API server gives to a ServiceAccount.
func fromUsername(username string) (ServiceAccount, bool) {
	rest, ok := strings.CutPrefix(username, "system:serviceaccount:")
	namespace, name, found := strings.Cut(rest, ":")
	if !ok || !found || namespace == "" || name == "" {
		return ServiceAccount{}, false
	}
	return ServiceAccount{Namespace: namespace, Name: name}, true
}

// Identity is a caller and what the cluster made of it. An account can have more than one role.
type Identity struct {
	// Name is shown to people: NAMESPACE/NAME of a ServiceAccount, or the user's name.
	Name string
	// Manager may do everything.
	Manager bool
	// Viewer may read everything.
	Viewer bool
	// AgentOf is the namespace of the caller's pod, when it runs as the account of Jobs; empty for others.
	AgentOf string
	// AgentOfEvent is the UID of the one Event that an agent works for.
	AgentOfEvent string
	// NoEvent says why an agent works for none.
	NoEvent string
	// user is what the API server knows of the caller, for asking it what they may do.
	user authenticationv1.UserInfo
}

// Accounts says which ServiceAccount has which role.
type Accounts struct {
	Manager ServiceAccount
	// AgentName is the account of Jobs, by this name in every namespace.
	AgentName string
	Viewers   []ServiceAccount
}

func (a Accounts) identify(user authenticationv1.UserInfo) Identity {
	account, ok := fromUsername(user.Username)
	if !ok {
		return Identity{Name: user.Username, user: user}
	}
	identity := Identity{Name: account.String(), Manager: account == a.Manager, user: user}
	for _, viewer := range a.Viewers {
		identity.Viewer = identity.Viewer || account == viewer
	}
	if account.Name == a.AgentName {
		identity.AgentOf = account.Namespace
	}
	return identity
}
