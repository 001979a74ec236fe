// SPDX-License-Identifier: Apache-2.0

// Package e2e tests MRE Operator from the outside, on the cluster of the
// kubeconfig in hand: manifests go in, media comes out and is decoded frame by
// frame. `make e2e` runs all of it, `make e2e-short` the part that CI has time for.
//
// The tests that kill processes and those that look into the database need the
// node's processes and volumes on this machine, as hack/cluster has them.
package e2e
