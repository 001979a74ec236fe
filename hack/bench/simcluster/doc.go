// SPDX-License-Identifier: Apache-2.0

// Package simcluster is a Kubernetes control plane of real programs with nodes that are not there: etcd, API server,
// controller manager and scheduler do what they do anywhere, and kwok says of every pod that it runs. It is for
// questions about many objects, which no machine could run the pods of.
//
// Everything listens on loopback, on ports that were free, and ends with the process that started it, also when that
// is killed.
package simcluster
