// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// logLines is how much of each pod's log a failure shows.
const logLines = 20

// verdict is an error when anything is missing from the result.
func (d *demo) verdict() error {
	var all []error
	for _, r := range d.runs {
		switch p := r.state.Progress; {
		case r.outcome != "":
			all = append(all, fmt.Errorf("event %s: %s", r.name, r.outcome))
		case p.ChunksFailed > 0:
			all = append(all, fmt.Errorf("event %s: %d chunks lack the result of a plugin", r.name, p.ChunksFailed))
		case p.ClipsFailed > 0:
			all = append(all, fmt.Errorf("event %s: %d clips could not be rendered", r.name, p.ClipsFailed))
		}
	}
	if len(all) == 0 {
		return nil
	}
	return errors.Join(errors.Join(all...), d.whatIsWrong(context.Background()))
}

// whatIsWrong is what a person needs to find out why something failed: conditions, and the ends of logs.
func (d *demo) whatIsWrong(ctx context.Context) error {
	var text strings.Builder
	for _, r := range d.runs {
		if r.finished && r.outcome == "" {
			continue
		}
		var event mrev1alpha1.Event
		if err := d.cluster.Get(ctx, client.ObjectKey{Namespace: d.events, Name: r.name}, &event); err != nil {
			fmt.Fprintf(&text, "Event %s cannot be read: %v\n", r.name, err)
			continue
		}
		for _, c := range event.Status.Conditions {
			fmt.Fprintf(&text, "Event %s: %s=%s %s: %s\n", r.name, c.Type, c.Status, c.Reason, c.Message)
		}
		d.failedTasks(ctx, &text, event.UID)
		text.WriteString(d.cluster.PodLogs(ctx, d.events, map[string]string{mrev1alpha1.LabelEvent: r.name}, logLines))
	}
	text.WriteString(d.cluster.PodLogs(ctx, d.namespace, nil, logLines))
	return errors.New(text.String())
}

func (d *demo) failedTasks(ctx context.Context, text *strings.Builder, uid types.UID) {
	tasks, err := d.dataPlane.Tasks(ctx, string(uid))
	if err != nil {
		fmt.Fprintf(text, "its tasks cannot be read: %v\n", err)
		return
	}
	for _, t := range tasks {
		if t.Error != nil {
			fmt.Fprintf(text, "task %d %s %s chunk %d %s: %s: %s\n", t.ID, t.Kind,
				t.Plugin, t.Chunk, t.Subject, t.State, *t.Error)
		}
	}
}
