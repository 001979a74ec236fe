// SPDX-License-Identifier: Apache-2.0

package invocation

import "sync"

// staged is what a run has written so far.
type staged struct {
	mu sync.Mutex
}
