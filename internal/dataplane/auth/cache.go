// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// maxCached bounds the memory that callers can make us use.
const maxCached = 4096

// cache keeps answers of the API server for a while.
type cache[K comparable, V any] struct {
	clock clock.PassiveClock

	mu      sync.Mutex
	entries map[K]entry[V]
}

type entry[V any] struct {
	value   V
	expires time.Time
}

func newCache[K comparable, V any](clock clock.PassiveClock) *cache[K, V] {
	return &cache[K, V]{clock: clock, entries: make(map[K]entry[V])}
}

func (c *cache[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.entries[key]
	return found.value, ok && c.clock.Now().Before(found.expires)
}

func (c *cache[K, V]) put(key K, value V, lifetime time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.entries) >= maxCached {
		c.makeRoom()
	}
	c.entries[key] = entry[V]{value: value, expires: c.clock.Now().Add(lifetime)}
}

// makeRoom drops what has expired, and any entry when nothing has: the API server is asked again about what was
// dropped.
func (c *cache[K, V]) makeRoom() {
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
