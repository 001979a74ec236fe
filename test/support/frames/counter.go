// SPDX-License-Identifier: Apache-2.0

package frames

import "hash"

// sampleCounter counts and hashes 16-bit mono samples.
type sampleCounter struct {
	sum   hash.Hash
	bytes int64
}

func (c *sampleCounter) Write(p []byte) (int, error) {
	c.bytes += int64(len(p))
	return c.sum.Write(p)
}
