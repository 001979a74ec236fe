// SPDX-License-Identifier: Apache-2.0

// Package clusterclient reaches an installed MRE Operator from outside its
// cluster, with nothing but a kubeconfig: the API server, the data plane and
// the object store. kubectl mre, the demo, the end-to-end tests and the benchmarks
// use it.
//
// The services are reached through the API server's port-forward, under the
// names that they have inside the cluster: the host is part of a presigned
// URL's signature, so that a URL minted for a pod works here unchanged.
package clusterclient
