// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/clusterclient"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
)

// patience is how long somebody who sits before a terminal waits for a data plane that does not answer.
const patience = 10 * time.Second

// Connection is what the commands reach.
type Connection struct {
	// Objects reads and changes objects of the API server.
	Objects client.Client
	// DataPlane reads rows as a viewer.
	DataPlane *dpclient.Client
	// Web fetches what signed URLs name.
	Web *http.Client
}

// Install is the install that is looked at, and whom its data plane is read as.
type Install struct {
	Namespace string
	// Account is a ServiceAccount, NAMESPACE/NAME; mre-viewer of the install when it is empty.
	Account string
}

// dataPlane connects with the rights of the account.
func (i Install) dataPlane(cluster *clusterclient.Cluster) (*dpclient.Client, error) {
	if i.Account == "" {
		return cluster.DataPlane()
	}
	namespace, name, ok := strings.Cut(i.Account, "/")
	if !ok || namespace == "" || name == "" {
		return nil, fmt.Errorf("--as-service-account %q is not NAMESPACE/NAME", i.Account)
	}
	return cluster.DataPlaneAs(namespace, name)
}

// connect uses the kubeconfig.
func connect(flags *genericclioptions.ConfigFlags, to Install) (*Connection, error) {
	config, err := flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig (see --kubeconfig and --context): %w", err)
	}
	config.UserAgent = "kubectl-mre"
	cluster, err := clusterclient.New(config, to.Namespace)
	if err != nil {
		return nil, err
	}
	cluster.Patience = patience
	dataPlane, err := to.dataPlane(cluster)
	if err != nil {
		return nil, err
	}
	return &Connection{Objects: cluster.Client, DataPlane: dataPlane, Web: cluster.HTTP}, nil
}

// session is a connection and the namespace that is looked at.
type session struct {
	*Connection
	namespace string
}

func (p *program) open() (*session, error) {
	namespace, _, err := p.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig (see --kubeconfig and --context): %w", err)
	}
	c, err := p.Connect(p.flags, Install{Namespace: p.install, Account: p.account})
	if err != nil {
		return nil, err
	}
	return &session{Connection: c, namespace: namespace}, nil
}

// openEvent is the session, and the Event that the command is about.
func (p *program) openEvent(ctx context.Context, name string) (*session, *mrev1.Event, error) {
	s, err := p.open()
	if err != nil {
		return nil, nil, err
	}
	event, err := s.event(ctx, name)
	return s, event, err
}

func (s *session) event(ctx context.Context, name string) (*mrev1.Event, error) {
	var event mrev1.Event
	if err := s.Objects.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, &event); err != nil {
		return nil, fmt.Errorf("read Event %s in namespace %s: %w", name, s.namespace, err)
	}
	return &event, nil
}

// events are those of a namespace, or of all when it is empty, the oldest first.
func (s *session) events(ctx context.Context, namespace string) ([]mrev1.Event, error) {
	var list mrev1.EventList
	if err := s.Objects.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list Events: %w", err)
	}
	slices.SortStableFunc(list.Items, func(a, b mrev1.Event) int {
		if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
			return c
		}
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	return list.Items, nil
}

// replays are those of an Event.
func (s *session) replays(ctx context.Context, event *mrev1.Event) ([]mrev1.Replay, error) {
	all, err := s.allReplays(ctx, event.Namespace)
	return replaysOf(all, event), err
}

func (s *session) allReplays(ctx context.Context, namespace string) ([]mrev1.Replay, error) {
	var list mrev1.ReplayList
	if err := s.Objects.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list Replays: %w", err)
	}
	return list.Items, nil
}

func replaysOf(all []mrev1.Replay, event *mrev1.Event) []mrev1.Replay {
	var mine []mrev1.Replay
	for i := range all {
		if all[i].Namespace == event.Namespace && all[i].Spec.EventRef.Name == event.Name {
			mine = append(mine, all[i])
		}
	}
	return mine
}
