// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// memory keeps something about each object for as long as the process lives. What it holds must be cheap to
// have forgotten.
type memory[V any] struct {
	mu   sync.Mutex
	held map[types.UID]V
}

func (m *memory[V]) get(uid types.UID) (V, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.held[uid]
	return v, ok
}

func (m *memory[V]) put(uid types.UID, v V) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil {
		m.held = map[types.UID]V{}
	}
	m.held[uid] = v
}

func (m *memory[V]) forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.held, uid)
}
