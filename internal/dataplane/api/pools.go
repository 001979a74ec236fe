// SPDX-License-Identifier: Apache-2.0

// Package api is the data plane's API: what is generated from openapi.yaml, and the names of pools.
package api

import "strings"

// Pools of tasks that every Event has.
const (
	// PoolWork runs framers, built-in plugins and the containers that name no pool.
	PoolWork Pool = "work"
	// PoolRender makes clips and reels.
	PoolRender Pool = "render"
)

// WorkerPool is the pool of the plugins that name it; the empty name is PoolWork.
func WorkerPool(name string) Pool {
	if name == "" {
		return PoolWork
	}
	return PoolWork + "/" + name
}

// WorkerPoolName is the name that a worker pool was made of: empty for PoolWork. It is false for pools that
// are not a worker's.
func WorkerPoolName(p Pool) (string, bool) {
	if p == PoolWork {
		return "", true
	}
	return strings.CutPrefix(p, PoolWork+"/")
}

// ContainerPlugins are the plugins that run in containers of a pool's workers, in the plan's order: in each pod, the
// first has the first port.
func ContainerPlugins(p *Plan, pool string) []*PlanPlugin {
	var out []*PlanPlugin
	for i := range p.Plugins {
		if c := p.Plugins[i].Container; c != nil && c.Pool == pool {
			out = append(out, &p.Plugins[i])
		}
	}
	return out
}
