// SPDX-License-Identifier: Apache-2.0

// Package controllers reconciles the five kinds of mre.media.
//
// Every reconciler has the same shape: observe (cached lists, the data plane's state), decide (pure
// functions without a client, in files named after the rule), apply (Jobs, calls to the data plane),
// then one status patch, and Kubernetes Events only once that patch is stored.
package controllers
