// SPDX-License-Identifier: Apache-2.0

package store

import (
	"testing"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// BenchmarkChunk is one chunk of four tasks through the store, of an Event
// whose source is stored already: the backlog must not make it slower.
func BenchmarkChunk(b *testing.B) {
	h := newHarness(b)
	h.start(func(p *api.Plan) {
		p.Optimizer, p.Labeler = nil, nil
		p.Plugins = p.Plugins[:4]
		p.Plugins[0].MediaType = api.PlanPluginMediaTypeVideo
		p.Plugins = append(p.Plugins[:1:1], p.Plugins[2:]...)
		p.Plugins[1].DependsOn = []string{}
		p.ChunkSeconds = 2
	})
	h.ingest(int64(b.N))
	b.ResetTimer()
	h.drain(match{})
	if e := h.event(); e.State != api.EventStateStateComplete {
		b.Fatalf("%s", e.State)
	}
}
