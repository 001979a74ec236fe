// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/controllers"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
)

func init() { commands = append(commands, newManagerCommand) }

type managerFlags struct {
	probeListen, metricsListen string
	leaderElect                bool
	leaderNamespace            string
	dataPlaneURL, tokenFile    string
	pullPolicy                 string
	scratch                    string
	cpu, memory, memoryLimit   string
	options                    controllers.Options
}

func newManagerCommand() *cobra.Command {
	f := managerFlags{options: controllers.DefaultOptions()}
	cmd := &cobra.Command{
		Use:   "manager",
		Short: "Reconcile Plugins, Models, Profiles, Events and Replays",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runManager(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.probeListen, "health-listen", ":8082", "Address of /healthz and /readyz.")
	flags.StringVar(&f.metricsListen, "metrics-listen", ":8081", "Address of /metrics; 0 turns it off.")
	flags.BoolVar(&f.leaderElect, "leader-elect", true, "Let one of several managers work at a time.")
	flags.StringVar(&f.leaderNamespace, "leader-election-namespace", "",
		"Namespace of the Lease; empty for the manager's own.")
	flags.StringVar(&f.dataPlaneURL, "dataplane-url", "https://mre-dataplane.mre-system.svc:8080",
		"Where the manager and the Jobs reach the data plane. With https:// and the name of a Service, the "+
			"manager makes the certificate; with http://, nothing is encrypted.")
	flags.StringVar(&f.options.ObjectStoreURL, "object-store-endpoint", "",
		"URL of the object store, as the data plane has it; empty for AWS S3. The Jobs' NetworkPolicies open the way to it.")
	flags.BoolVar(&f.options.NetworkPolicies, "network-policies", f.options.NetworkPolicies,
		"Make NetworkPolicies for the Jobs of each Event, which close them to everything that they do not need.")
	flags.StringVar(&f.tokenFile, "token-file", "/var/run/secrets/mre/token",
		"File of the manager's token for the data plane.")
	flags.StringVar(&f.options.AgentImage, "agent-image", "", "Image of the Jobs; the manager's own, as a rule.")
	flags.StringVar(&f.pullPolicy, "agent-image-pull-policy", "",
		"Always, IfNotPresent or Never; empty leaves it to Kubernetes.")
	flags.StringVar(&f.options.AgentServiceAccount, "agent-service-account", f.options.AgentServiceAccount,
		"ServiceAccount of the Jobs; the manager makes it in the namespaces of Events.")
	flags.StringVar(&f.scratch, "scratch-size", f.options.ScratchSize.String(), "Bound of a Job's scratch volume.")
	flags.StringVar(&f.cpu, "agent-cpu", "250m", "CPU that a Job asks for; it has no limit.")
	flags.StringVar(&f.memory, "agent-memory", "256Mi", "Memory that a Job asks for.")
	flags.StringVar(&f.memoryLimit, "agent-memory-limit", "2Gi", "Memory that a Job may use.")
	flags.Int32Var(&f.options.MaxWorkers, "max-workers", 0,
		"Bound of the worker Jobs of all Events together, which share it fairly; 0 is no bound.")
	flags.DurationVar(&f.options.StartDeadline, "start-deadline", f.options.StartDeadline,
		"Time after which an Event says that a Job's pod does not start.")
	flags.DurationVar(&f.options.StatusInterval, "status-interval", f.options.StatusInterval,
		"Shortest time between two status patches of an Event that only count.")
	return cmd
}

// complete parses what flags cannot.
func (f *managerFlags) complete() error {
	if f.options.AgentImage == "" {
		return fmt.Errorf("--agent-image is not set: name the image that the Jobs run")
	}
	if f.options.MaxWorkers < 0 {
		return fmt.Errorf("--max-workers is %d: it must be 0 (no bound) or more", f.options.MaxWorkers)
	}
	f.options.DataPlaneURL = f.dataPlaneURL
	f.options.AgentImagePullPolicy = corev1.PullPolicy(f.pullPolicy)
	var err error
	if f.options.ScratchSize, err = resource.ParseQuantity(f.scratch); err != nil {
		return fmt.Errorf("--scratch-size %q: %w", f.scratch, err)
	}
	f.options.Resources, err = controllers.AgentResources(f.cpu, f.memory, f.memoryLimit)
	return err
}

func runManager(ctx context.Context, f managerFlags) error {
	if err := f.complete(); err != nil {
		return err
	}
	logger := logr.FromSlogHandler(slog.Default().Handler())
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := mrev1.AddToScheme(scheme); err != nil {
		return err
	}
	cluster, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the cluster (set --kubeconfig or KUBECONFIG outside of one): %w", err)
	}
	selected, err := controllers.CacheOptions()
	if err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(cluster, ctrl.Options{
		Scheme:                        scheme,
		Cache:                         selected,
		Metrics:                       metricsserver.Options{BindAddress: f.metricsListen},
		HealthProbeBindAddress:        f.probeListen,
		LeaderElection:                f.leaderElect,
		LeaderElectionID:              "manager.mre.media",
		LeaderElectionNamespace:       f.leaderNamespace,
		LeaderElectionReleaseOnCancel: true,
		GracefulShutdownTimeout:       ptr.To(10 * time.Second),
		// A standby fills its caches beforehand, so that a takeover costs no listing.
		Controller: config.Controller{EnableWarmup: new(true)},
	})
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	if service, namespace, ok := controllers.ServedByTLS(f.dataPlaneURL); ok {
		certificates := &controllers.Certificates{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: clock.RealClock{},
			Namespace: namespace, Service: service}
		if err := mgr.Add(certificates); err != nil {
			return fmt.Errorf("add the keeper of certificates: %w", err)
		}
		f.options.Trust = certificates.Trust
	}
	dataPlane, err := client.New(client.Options{
		BaseURL: f.dataPlaneURL, TokenFile: f.tokenFile, Trust: f.options.Trust, UserAgent: "mre-manager", RetryFor: -1,
	})
	if err != nil {
		return fmt.Errorf("--dataplane-url: %w", err)
	}
	if err := controllers.SetupWithManager(ctx, mgr, dataPlane, f.options); err != nil {
		return err
	}
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	if err := mgr.AddReadyzCheck("ping", healthz.Ping); err != nil {
		return err
	}
	return mgr.Start(ctx)
}
