// SPDX-License-Identifier: Apache-2.0

package store

import "sync"

// maxCached bounds the memory that is spent on Events. Those that run have
// theirs in use; those that are over need it rarely.
const maxCached = 512

// cache holds what never changes, by a key that begins with the Event's UID.
type cache[V any] struct {
	mu     sync.Mutex
	values map[string]V
}

func (c *cache[V]) get(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.values[key]
	return v, ok
}

func (c *cache[V]) put(key string, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.values == nil {
		c.values = map[string]V{}
	}
	for k := range c.values { // any: whoever needs it reads it again
		if len(c.values) < maxCached {
			break
		}
		delete(c.values, k)
	}
	c.values[key] = v
}
