// SPDX-License-Identifier: Apache-2.0

// Package mre shows that MRE plugins run unchanged: handlers in the style of MRE's samples, as processes of their
// own, against the real façade, a real data plane and its store.
package mre
