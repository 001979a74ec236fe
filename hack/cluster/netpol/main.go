// SPDX-License-Identifier: Apache-2.0

// Command netpol enforces NetworkPolicies on the node of hack/cluster, with one nftables table that it writes anew
// whenever a pod, a namespace or a policy changes. It is for tests: one node, IPv4, the bridge plugin.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

// settleTime gathers changes that come together.
const settleTime = 50 * time.Millisecond

func main() {
	kubeconfig := flag.String("kubeconfig", "",
		"kubeconfig of a client that may list pods, namespaces and NetworkPolicies")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *kubeconfig); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "netpol:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, kubeconfig string) error {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	pods, namespaces, policies := factory.Core().V1().Pods(),
		factory.Core().V1().Namespaces(), factory.Networking().V1().NetworkPolicies()
	changed := make(chan struct{}, 1)
	poke := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { poke() }, UpdateFunc: func(any, any) { poke() }, DeleteFunc: func(any) { poke() },
	}
	for _, i := range []cache.SharedIndexInformer{pods.Informer(), namespaces.Informer(), policies.Informer()} {
		if _, err := i.AddEventHandler(handler); err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	written := ""
	for {
		s := state{namespaces: map[string]labels.Set{}}
		all, err := pods.Lister().List(labels.Everything())
		if err != nil {
			return err
		}
		for _, p := range all {
			if hasAddress(p) {
				s.pods = append(s.pods, p)
			}
		}
		list, err := namespaces.Lister().List(labels.Everything())
		if err != nil {
			return err
		}
		for _, n := range list {
			s.namespaces[n.Name] = n.Labels
		}
		if s.policies, err = policies.Lister().List(labels.Everything()); err != nil {
			return err
		}
		sortPolicies(s.policies)
		script, err := render(s)
		if err != nil {
			// The API server has checked the policies, so this is a policy that this program is too simple for.
			slog.Error("The policies stay as they were", "error", err)
		} else if script != written {
			if err := apply(ctx, script); err != nil {
				return err
			}
			written = script
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			time.Sleep(settleTime)
		}
	}
}

// hasAddress: a pod of the node's own network cannot be told from the node.
func hasAddress(p *corev1.Pod) bool {
	return p.Status.PodIP != "" && !p.Spec.HostNetwork && p.Status.Phase != corev1.PodSucceeded &&
		p.Status.Phase != corev1.PodFailed
}

func apply(ctx context.Context, script string) error {
	cmd := exec.CommandContext(ctx, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("nft: %w\n%s\n%s", err, said.String(), script)
	}
	return nil
}
