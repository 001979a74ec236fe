// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// stallAfter is how long a benchmark may make no progress before it fails.
const stallAfter = time.Minute

// watchdog expires when what it is shown does not change.
type watchdog struct {
	seen  string
	since time.Time
}

func newWatchdog() *watchdog { return &watchdog{since: time.Now()} }

func (w *watchdog) expired(progress string) bool {
	if progress != w.seen {
		w.seen, w.since = progress, time.Now()
	}
	return time.Since(w.since) > stallAfter
}

// whatPodsSay describes the pods of a selector that do not run well, with the last lines of their logs, for an error.
func (b *bench) whatPodsSay(ctx context.Context, selector string) string {
	parsed, err := labels.Parse(selector)
	if err != nil {
		return err.Error()
	}
	var pods corev1.PodList
	if err := b.cluster.List(ctx, &pods, client.InNamespace(b.events),
		client.MatchingLabelsSelector{Selector: parsed}); err != nil {
		return err.Error()
	}
	const shown = 3
	var said []string
	for i := range pods.Items {
		p := &pods.Items[i]
		if p.Status.Phase == corev1.PodSucceeded || len(said) == shown {
			continue
		}
		said = append(said, fmt.Sprintf("pod %s is %s: %s%s", p.Name, p.Status.Phase, waiting(p), b.lastLines(ctx, p)))
	}
	if len(said) == 0 {
		return "all its pods have succeeded, or there are none"
	}
	return strings.Join(said, "; ")
}

func waiting(p *corev1.Pod) string {
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			return w.Reason + " " + w.Message + " "
		}
	}
	return p.Status.Message
}

func (b *bench) lastLines(ctx context.Context, p *corev1.Pod) string {
	lines := int64(3)
	logs := b.cluster.Kube.CoreV1().Pods(p.Namespace).GetLogs(p.Name, &corev1.PodLogOptions{TailLines: &lines})
	stream, err := logs.Stream(ctx)
	if err != nil {
		return ""
	}
	defer stream.Close()
	text, _ := io.ReadAll(io.LimitReader(stream, 4<<10))
	return strings.TrimSpace(string(text))
}
