// SPDX-License-Identifier: Apache-2.0

package api

// What a run of a plugin may publish. It is far more than any needs, and little enough that one that goes astray
// harms nobody. The data plane refuses the whole output of a run that goes beyond; agents refuse earlier, where the
// plugin hears of it.
const (
	// MaxResults of one run.
	MaxResults = 10_000
	// MaxAstrayMicros is how far from what a run looked at its times may lie, in microseconds.
	MaxAstrayMicros = 600_000_000
)
