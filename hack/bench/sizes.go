// SPDX-License-Identifier: Apache-2.0

package main

import "time"

// sizes says how much is measured.
type sizes struct {
	// chunks of the usual Event, and of the longer one of api-writes-per-chunk.
	chunks, longChunks int
	// runs bounds how often each side is measured.
	runs int
	// busyChunks and calmChunks of each Event that the data plane has alone, invokeChunks of the one with plugins.
	busyChunks, calmChunks, invokeChunks int
	// coldChunks are enough that tasks wait when the worker goes, at two seconds for each of the Event's own.
	coldChunks int
	// scaleEvents run on simulated nodes, while units come for scaleWarm and then for scaleSteady.
	scaleEvents            int
	scaleWarm, scaleSteady time.Duration
	// meaningless says that the figures are not to be compared with goals.
	meaningless bool
}

var (
	// usualSizes are what the goals are for.
	usualSizes = sizes{
		chunks: 20, longChunks: 60, runs: 5, busyChunks: 150, calmChunks: 200, invokeChunks: 200, coldChunks: 20,
		scaleEvents: 1000, scaleWarm: 20 * time.Second, scaleSteady: time.Minute,
	}
	// smokeSizes only show that every entry can still be measured.
	smokeSizes = sizes{
		chunks: 3, longChunks: 5, runs: 1, busyChunks: 3, calmChunks: 3, invokeChunks: 5, coldChunks: 8,
		scaleEvents: scaleNamespaces, scaleWarm: 2 * time.Second, scaleSteady: 5 * time.Second,
		meaningless: true,
	}
)

// times is how often a benchmark repeats itself that usually does so n times.
func (s sizes) times(n int) int { return min(n, s.runs) }
