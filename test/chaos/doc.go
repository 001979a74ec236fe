// SPDX-License-Identifier: Apache-2.0

// Package chaos runs Events through the real parts of MRE, each a process of its own, kills them at random a thousand
// times, and wants the same result as without: nothing lost, nothing doubled, nothing stuck. `make chaos` runs it.
//
// The API server and the object store are real, too. There is no node: the tests stand in for the kubelet and for the
// controller of Jobs, and deliver the units of a short match themselves, in random order, twice and too late.
package chaos
