// SPDX-License-Identifier: Apache-2.0

// Package cli is kubectl mre: what people do with Events from a terminal.
//
// A command reads the objects of the API server with the rights of the
// kubeconfig, and the rows of the data plane with those of a viewer. What it
// prints is made by pure functions of what was read.
package cli
