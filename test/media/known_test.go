// SPDX-License-Identifier: Apache-2.0

//go:build media

package media

// knownFailure is a failure that is expected until it is mended.
type knownFailure struct {
	failure
	// Rare says that only some cuts show it, so that a run without it proves nothing.
	Rare bool
}

// known is what is known to be wrong. A known failure that does not fail any more fails the test, so that this list can
// only become shorter.
var known []knownFailure
