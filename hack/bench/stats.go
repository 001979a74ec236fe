// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// median of at least one value; of an even number the mean of the two in the middle.
func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// percentile of at least one value: the smallest that p of 100 values do not exceed.
func percentile(values []float64, p int) float64 {
	v := slices.Sorted(slices.Values(values))
	return v[max((len(v)*p+99)/100-1, 0)]
}
