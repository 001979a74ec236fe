// SPDX-License-Identifier: Apache-2.0

package clusterclient

import (
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// FieldOwner is the field manager of what this package's users apply.
const FieldOwner = "mre-demo"

// Cluster is a cluster that MRE Operator is, or will be, installed in.
type Cluster struct {
	// Client reads and writes every kind of MRE and the usual ones of Kubernetes. It does not cache.
	client.Client
	// Kube is for what Client cannot do: logs, tokens, evictions.
	Kube kubernetes.Interface
	// Config is how the API server is reached.
	Config *rest.Config
	// Namespace is the one that MRE Operator is installed in.
	Namespace string
	// HTTP reaches the services of the cluster by their names inside it, and everything else as usual.
	HTTP *http.Client
	// Patience is how long a data plane that is being restarted is waited for.
	Patience time.Duration
}

// Connect uses the kubeconfig in hand: $KUBECONFIG, or ~/.kube/config.
func Connect(installNamespace string) (*Cluster, error) {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), nil).ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig (set KUBECONFIG, or run eval \"$(hack/cluster/cluster env)\"): %w", err)
	}
	return New(config, installNamespace)
}

// New uses a configuration that the caller has read. One that does not say how
// fast it may ask gets a pace for looking at many objects in a short time.
func New(config *rest.Config, installNamespace string) (*Cluster, error) {
	if config.QPS == 0 {
		config.QPS, config.Burst = 50, 100
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, mrev1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("register the kinds: %w", err)
		}
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connect to the API server %s: %w", config.Host, err)
	}
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server %s: %w", config.Host, err)
	}
	c := &Cluster{Client: api, Kube: kube, Config: config, Namespace: installNamespace, Patience: patience}
	c.HTTP = &http.Client{Transport: &http.Transport{
		DialContext:         c.DialContext,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     30 * time.Second,
	}}
	return c, nil
}
