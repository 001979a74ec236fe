// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

func (p *program) retryCommand() *cobra.Command {
	var wait bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "retry EVENT",
		Short: "Try the tasks of an Event again that failed for good",
		Long: p.text(`
			Try the dead letters of an Event again: tasks that failed for good, and what was skipped because of them. It
			writes a fresh word into the annotation mre.media/retry, which the manager obeys.

			Segmenters whose successors have run stay as they are, as segments are made in order. A Failed Event is
			final: make a new one.`),
		Example: p.examples(`
			# After the model's server is back
			{mre} retry final

			# And see that it was done
			{mre} retry final --wait`),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.eventNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.retry(cmd.Context(), args[0], wait, timeout)
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "Wait until the data plane has taken the tasks up again.")
	cmd.Flags().DurationVar(&timeout, "timeout", time.Minute, "How long --wait waits.")
	return cmd
}

func (p *program) finishCommand() *cobra.Command {
	return p.specCommand("finish", "finish", true, "End the source of an Event now, and process what is stored", `
			End the source of an Event now: what is stored becomes the whole of it, is processed to its end, and the Event
			is Complete. It sets spec.finish, and cannot be taken back.`)
}

func (p *program) suspendCommand() *cobra.Command {
	return p.specCommand("suspend", "suspend", true, "Let an Event rest: its Jobs end, nothing is lost", `
			Let an Event rest: tasks that run are finished, no others are handed out, and its Jobs end. What is stored
			stays. It sets spec.suspend; resume takes it back.`)
}

func (p *program) resumeCommand() *cobra.Command {
	return p.specCommand("resume", "suspend", false, "Let a suspended Event go on", `
			Let a suspended Event go on where it stopped. It takes spec.suspend back.`)
}

// specCommand sets a field of an Event's spec that is true or false.
func (p *program) specCommand(verb, field string, to bool, short, long string) *cobra.Command {
	return &cobra.Command{
		Use:               verb + " EVENT",
		Short:             short,
		Long:              p.text(long),
		Example:           p.examples("{mre} " + verb + " final"),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.eventNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, event, err := p.openEvent(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if state := stateOf(event); state.ended() {
				fmt.Fprintf(p.Streams.Out, "event %s is %s already: nothing to %s\n", event.Name, state.word, verb)
				return nil
			}
			if err := s.setSpec(cmd.Context(), event, field, to); err != nil {
				return err
			}
			fmt.Fprintf(p.Streams.Out, "event %s: spec.%s=%t\n", event.Name, field, to)
			return nil
		},
	}
}

// setSpec also sees that the field was taken: an API server drops those that its copy of the kind does not have.
func (s *session) setSpec(ctx context.Context, event *mrev1.Event, field string, to bool) error {
	patched, err := s.patch(ctx, event, map[string]any{"spec": map[string]any{field: to}})
	if err != nil {
		return err
	}
	if got, _, err := unstructured.NestedBool(patched.Object, "spec", field); err != nil || got != to {
		return fmt.Errorf("the cluster's kind Event has no spec.%s: install the CRDs of this version of MRE Operator", field)
	}
	return nil
}

func (s *session) patch(ctx context.Context, event *mrev1.Event,
	change map[string]any) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(change)
	if err != nil {
		return nil, fmt.Errorf("write the patch: %w", err)
	}
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(mrev1.GroupVersion.WithKind("Event"))
	object.SetNamespace(event.Namespace)
	object.SetName(event.Name)
	if err := s.Objects.Patch(ctx, object, client.RawPatch(types.MergePatchType, body),
		client.FieldOwner("kubectl-mre")); err != nil {
		return nil, fmt.Errorf("change Event %s in namespace %s: %w", event.Name, event.Namespace, err)
	}
	return object, nil
}

func (p *program) retry(ctx context.Context, name string, wait bool, timeout time.Duration) error {
	s, event, err := p.openEvent(ctx, name)
	if err != nil {
		return err
	}
	if state := stateOf(event); state.word == "Failed" {
		return fmt.Errorf("event %s is Failed, which is final (%s): make a new Event",
			event.Name, joined(state.reason, state.message))
	}
	var dead []api.Task
	if wait {
		tasks, err := s.DataPlane.Tasks(ctx, string(event.UID))
		if err != nil {
			return err
		}
		if dead = deadLetters(tasks); len(dead) == 0 {
			fmt.Fprintf(p.Streams.Out, "event %s has no dead letters: nothing to retry\n", event.Name)
			return nil
		}
	}
	// A word that was never used, and says when it was.
	word := time.Now().UTC().Format("20060102T150405Z") + "-" + rand.Text()[:6]
	if _, err := s.patch(ctx, event,
		map[string]any{"metadata": map[string]any{"annotations": map[string]any{mrev1.AnnotationRetry: word}}}); err != nil {
		return err
	}
	fmt.Fprintf(p.Streams.Out, "event %s: %s=%s\n", event.Name, mrev1.AnnotationRetry, word)
	if !wait {
		return nil
	}
	return p.waitRetried(ctx, s, event, dead, timeout)
}

// waitRetried looks at the dead letters themselves: one that fails again at once was tried again all the same.
func (p *program) waitRetried(ctx context.Context, s *session, event *mrev1.Event,
	dead []api.Task, timeout time.Duration) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		tasks, err := s.DataPlane.Tasks(limited, string(event.UID))
		if err != nil && limited.Err() == nil {
			return err
		}
		if err == nil {
			if n := revived(dead, tasks); n > 0 {
				fmt.Fprintf(p.Streams.Out, "event %s: tried again: %d of %s\n", event.Name, n, many(len(dead), "dead letter"))
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limited.Done():
			return errors.Join(fmt.Errorf("none of the dead letters of event %s was tried again within %s", event.Name, timeout),
				fmt.Errorf("segmenters whose successors have run stay as they are; else see the manager: kubectl -n %s logs "+
					"deployment/mre-manager", p.install))
		case <-time.After(lookEvery):
		}
	}
}

// revived counts the dead letters that are none any more, or that have died anew.
func revived(dead, now []api.Task) int {
	ended := map[int64]time.Time{}
	for i := range now {
		if now[i].State == api.TaskStateFailed {
			ended[now[i].ID] = value(now[i].FinishedAt)
		}
	}
	n := 0
	for i := range dead {
		if at, still := ended[dead[i].ID]; !still || !at.Equal(value(dead[i].FinishedAt)) {
			n++
		}
	}
	return n
}
