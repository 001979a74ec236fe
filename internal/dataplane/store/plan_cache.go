// SPDX-License-Identifier: Apache-2.0

package store

import "sync"

// maxPlans bounds the memory that compiled plans take. Events that run have
// their plans in use; those that are over need theirs rarely.
const maxPlans = 512

// planCache holds compiled plans by Event UID and hash; a plan never changes.
type planCache struct {
	mu    sync.Mutex
	plans map[string]*plan
}

func (c *planCache) get(key string) *plan {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plans[key]
}

func (c *planCache) put(key string, p *plan) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.plans == nil {
		c.plans = map[string]*plan{}
	}
	for k := range c.plans { // any: whoever needs it reads it again
		if len(c.plans) < maxPlans {
			break
		}
		delete(c.plans, k)
	}
	c.plans[key] = p
}
