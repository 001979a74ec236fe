// SPDX-License-Identifier: Apache-2.0

package container

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

const (
	// maxWords is what the data plane takes.
	maxWords = 2048
	// retry is the wait before the data plane is told again.
	retry = 5 * time.Second
)

// health tells the data plane how a plugin's process does: the newest word, until it was heard.
type health struct {
	client              *client.Client
	uid, plugin, holder string
	log                 *slog.Logger

	mu     sync.Mutex
	newest *api.PluginHealthReport
	news   chan struct{}
}

func newHealth(c Config, plugin string) *health {
	return &health{client: c.Client, uid: c.EventUID, plugin: plugin, holder: c.Holder,
		log: c.Log.With("plugin", plugin), news: make(chan struct{}, 1)}
}

// is takes a word; it does not wait.
func (h *health) is(state api.PluginHealthReportState, words string) {
	words = strings.ToValidUTF8(words, "?")
	if len(words) > maxWords {
		words = strings.ToValidUTF8(words[:maxWords-3], "") + "…"
	}
	h.log.Info("the plugin's process", "state", state, "words", words)
	h.mu.Lock()
	h.newest = &api.PluginHealthReport{Holder: h.holder, State: state, Message: words}
	h.mu.Unlock()
	select {
	case h.news <- struct{}{}:
	default:
	}
}

func (h *health) take() *api.PluginHealthReport {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := h.newest
	h.newest = nil
	return r
}

// keep puts a word back that was not heard, unless there is a newer one.
func (h *health) keep(r *api.PluginHealthReport) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.newest == nil {
		h.newest = r
	}
}

// send tells what there is to tell until the context ends.
func (h *health) send(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.news:
		}
		for r := h.take(); r != nil; r = h.take() {
			err := h.client.PutPluginHealth(ctx, h.uid, h.plugin, *r)
			switch {
			case err == nil:
			case !client.Temporary(err):
				h.log.Warn("the data plane does not want to know how the plugin does", "error", err)
			default:
				h.keep(r)
				select {
				case <-ctx.Done():
					return
				case <-time.After(retry):
				}
			}
		}
	}
}
