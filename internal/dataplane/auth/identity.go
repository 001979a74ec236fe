// SPDX-License-Identifier: Apache-2.0

// Package auth says who calls the data plane and what they may do: a projected ServiceAccount token is checked
// by TokenReview, and one table names the role that every operation asks for.
package auth

import (
	"fmt"
	"strings"
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
	// AgentOf is the namespace whose Events the caller's Jobs work for; empty for others.
	AgentOf string
}

// Accounts says which ServiceAccount has which role.
type Accounts struct {
	Manager ServiceAccount
	// AgentName is the account of Jobs, by this name in every namespace.
	AgentName string
	Viewers   []ServiceAccount
}

func (a Accounts) identify(username string) Identity {
	account, ok := fromUsername(username)
	if !ok {
		return Identity{Name: username}
	}
	identity := Identity{Name: account.String(), Manager: account == a.Manager}
	for _, viewer := range a.Viewers {
		identity.Viewer = identity.Viewer || account == viewer
	}
	if account.Name == a.AgentName {
		identity.AgentOf = account.Namespace
	}
	return identity
}
