// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"crypto/sha256"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// maxCached bounds the memory that callers can make us use.
const maxCached = 4096

type verdict struct {
	identity Identity
	err      error
	expires  time.Time
}

// cache keeps verdicts by the hash of a token.
type cache struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	entries map[[sha256.Size]byte]verdict
}

func newCache(clock clock.PassiveClock) *cache {
	return &cache{clock: clock, entries: make(map[[sha256.Size]byte]verdict)}
}

func (c *cache) get(key [sha256.Size]byte) (verdict, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.entries[key]
	return found, ok && c.clock.Now().Before(found.expires)
}

func (c *cache) put(key [sha256.Size]byte, v verdict, lifetime time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v.expires = c.clock.Now().Add(lifetime)
	if len(c.entries) >= maxCached {
		c.makeRoom()
	}
	c.entries[key] = v
}

// makeRoom drops what has expired, and any entry when nothing has: whoever is dropped is reviewed again.
func (c *cache) makeRoom() {
	now := c.clock.Now()
	for key, entry := range c.entries {
		if !now.Before(entry.expires) {
			delete(c.entries, key)
		}
	}
	for key := range c.entries {
		if len(c.entries) < maxCached {
			return
		}
		delete(c.entries, key)
	}
}
