// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// median of at least one value; of an even number the mean of the two in the middle.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
