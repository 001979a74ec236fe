// SPDX-License-Identifier: Apache-2.0

package simcluster

import (
	"context"
	"crypto/rand"
	_ "embed" // for kwok's stages
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/keyutil"
)

//go:embed kwok.yaml
var kwokStages []byte

// patience is how long a part may take to start on a machine that has other things to do.
const patience = 3 * time.Minute

// users are who the parts are to the API server. Without their own rules of RBAC they all may do everything; what is
// measured has accounts and rules of its own.
var users = []string{"admin", "kube-controller-manager", "kube-scheduler", "kwok"}

// Options of a cluster.
type Options struct {
	// Dir takes logs and kubeconfigs. What is in it is replaced.
	Dir string
	// Programs is the folder of etcd, kube-apiserver, kube-controller-manager and kube-scheduler.
	Programs string
	// Kwok is the program that plays the nodes.
	Kwok string
	// Nodes that there are not. Each has room for 1000 CPUs, 4 TiB and 1000 pods.
	Nodes int
	// Audited are the users whose writes are in the audit log.
	Audited []string
}

// Cluster runs until it is stopped.
type Cluster struct {
	// Config has the rights of an administrator, and no limit of its own.
	Config *rest.Config
	// AuditLog has a line for each write of the audited users.
	AuditLog string
	// Data is a folder for databases, in memory where the system has room for it: what other programs do to the disk
	// is not what is measured. It is gone after Stop.
	Data string

	options   Options
	processes *processes
	kube      kubernetes.Interface
	etcd, api string
	tokens    map[string]string
}

// Start starts every part and waits until the nodes are ready.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if err := os.RemoveAll(o.Dir); err != nil {
		return nil, fmt.Errorf("make room for the simulated cluster: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("make room for the simulated cluster: %w", err)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	c := &Cluster{options: o, processes: newProcesses(dir),
		AuditLog: filepath.Join(dir, "audit.log"), tokens: map[string]string{}}
	// Named after Dir, so that what a killed run left is found by the next.
	c.Data = filepath.Join(memoryFolder(), fmt.Sprintf("mre-simcluster-%08x", crc32.ChecksumIEEE([]byte(dir))))
	if err := errors.Join(os.RemoveAll(c.Data), os.MkdirAll(c.Data, 0o700)); err != nil {
		return nil, fmt.Errorf("make room for the simulated cluster's data: %w", err)
	}
	for _, step := range []func(context.Context) error{c.startAPI, c.startControllers, c.startNodes} {
		if err := step(ctx); err != nil {
			c.Stop()
			return nil, fmt.Errorf("start a simulated cluster: %w", err)
		}
	}
	return c, nil
}

// Stop ends every program that Start and Run started and removes the databases; the logs stay.
func (c *Cluster) Stop() {
	c.processes.stop()
	// A folder in memory that cannot be removed is nothing that the caller could do something about.
	_ = os.RemoveAll(c.Data)
}

// memoryFolder is a file system in memory, or the usual place for temporary files.
func memoryFolder() string {
	const shm = "/dev/shm"
	var room unix.Statfs_t
	if err := unix.Statfs(shm, &room); err != nil || room.Type != unix.TMPFS_MAGIC ||
		room.Bavail*uint64(room.Bsize) < 2<<30 {
		return os.TempDir()
	}
	return shm
}

// Run starts a program that ends with the cluster.
func (c *Cluster) Run(ctx context.Context, name string, env []string,
	program string, args ...string) (*Process, error) {
	return c.processes.run(ctx, name, env, program, args...)
}

// Check says whether a program ended by itself.
func (c *Cluster) Check() error { return c.processes.check() }

// Await waits for a condition, and for no longer than every program lives.
func (c *Cluster) Await(ctx context.Context, what string, every, atMost time.Duration,
	done func(context.Context) (bool, error)) error {
	err := wait.PollUntilContextTimeout(ctx, every, atMost, true, func(ctx context.Context) (bool, error) {
		if err := c.Check(); err != nil {
			return false, err
		}
		return done(ctx)
	})
	if err != nil {
		return fmt.Errorf("wait until %s: %w", what, err)
	}
	return nil
}

func (c *Cluster) startAPI(ctx context.Context) error {
	if err := c.writeSecrets(); err != nil {
		return err
	}
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = FreeAddress(ctx); err != nil {
			return err
		}
	}
	c.etcd, c.api = "http://"+addresses[0], "https://"+addresses[1]
	peer := "http://" + addresses[2]
	// Without fsync: nothing of it outlives the run.
	if _, err := c.Run(ctx, "etcd", nil, c.program("etcd"),
		"--data-dir="+filepath.Join(c.Data, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls="+c.etcd, "--advertise-client-urls="+c.etcd, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer); err != nil {
		return err
	}
	_, port, _ := strings.Cut(addresses[1], ":")
	// The taint of a node that is not ready is taken away by a controller that is not here.
	if _, err := c.Run(ctx, "kube-apiserver", nil, c.program("kube-apiserver"), "--etcd-servers="+c.etcd,
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--secure-port="+port, "--cert-dir="+c.file("tls"),
		"--endpoint-reconciler-type=none", "--token-auth-file="+c.file("tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+c.file("sa.key"), "--service-account-signing-key-file="+c.file("sa.key"),
		"--disable-admission-plugins=TaintNodesByCondition", "--service-cluster-ip-range=10.96.0.0/16",
		"--audit-policy-file="+c.file("audit.yaml"), "--audit-log-path="+c.AuditLog); err != nil {
		return err
	}
	if err := c.Await(ctx, "the API server has a certificate", 100*time.Millisecond, patience,
		func(context.Context) (bool, error) {
			_, err := os.Stat(c.certificate())
			return err == nil, nil
		}); err != nil {
		return err
	}
	c.Config = &rest.Config{Host: c.api, BearerToken: c.tokens["admin"],
		TLSClientConfig: rest.TLSClientConfig{CAFile: c.certificate()}, QPS: -1}
	var err error
	if c.kube, err = kubernetes.NewForConfig(c.Config); err != nil {
		return err
	}
	return c.Await(ctx, "the API server is ready", 200*time.Millisecond, patience,
		func(ctx context.Context) (bool, error) {
			return c.kube.CoreV1().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() == nil, nil
		})
}

func (c *Cluster) startControllers(ctx context.Context) error {
	configs := map[string]string{}
	for _, user := range users {
		path, err := c.Kubeconfig(user, c.tokens[user])
		if err != nil {
			return err
		}
		configs[user] = path
	}
	// The default limits of these clients would be what is measured.
	if _, err := c.Run(ctx, "kube-controller-manager", nil, c.program("kube-controller-manager"),
		"--controllers=job-controller,serviceaccount-controller,namespace-controller,garbage-collector-controller",
		"--kubeconfig="+configs["kube-controller-manager"], "--service-account-private-key-file="+c.file("sa.key"),
		"--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0",
		"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-job-syncs=20"); err != nil {
		return err
	}
	if _, err := c.Run(ctx, "kube-scheduler", nil, c.program("kube-scheduler"), "--kubeconfig="+configs["kube-scheduler"],
		"--leader-elect=false", "--bind-address=127.0.0.1", "--secure-port=0",
		"--kube-api-qps=500", "--kube-api-burst=1000"); err != nil {
		return err
	}
	// No leases: nobody watches over these nodes. No server: nobody asks their kubelets.
	_, err := c.Run(ctx, "kwok", []string{"KWOK_WORKDIR=" + c.file("kwok")}, c.options.Kwok,
		"--kubeconfig="+configs["kwok"], "--config="+c.file("kwok.yaml"), "--manage-all-nodes=true",
		"--node-lease-duration-seconds=0", "--node-port=0")
	return err
}

func (c *Cluster) startNodes(ctx context.Context) error {
	room := corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("1k"), corev1.ResourceMemory: resource.MustParse("4Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("64Ti"), corev1.ResourcePods: resource.MustParse("1k"),
	}
	for i := range c.options.Nodes {
		name := fmt.Sprintf("simulated-%02d", i)
		node := &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}},
			Status:     corev1.NodeStatus{Capacity: room, Allocatable: room},
		}
		if _, err := c.kube.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("make node %s: %w", name, err)
		}
	}
	return c.Await(ctx, "the nodes are ready", time.Second, patience, func(ctx context.Context) (bool, error) {
		nodes, err := c.kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		ready := 0
		for i := range nodes.Items {
			for _, condition := range nodes.Items[i].Status.Conditions {
				if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		return ready == c.options.Nodes, nil
	})
}

// writeSecrets makes the keys and the files that the API server and kwok start with.
func (c *Cluster) writeSecrets() error {
	key, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		return err
	}
	var tokens strings.Builder
	for _, user := range users {
		c.tokens[user] = rand.Text()
		fmt.Fprintf(&tokens, "%s,%s,%s,system:masters\n", c.tokens[user], user, user)
	}
	audit := fmt.Sprintf("apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n"+
		"- level: Metadata\n  users: [%q]\n  verbs: [create, update, patch, delete, deletecollection]\n- level: None\n",
		strings.Join(c.options.Audited, `", "`))
	err = nil
	for name, content := range map[string][]byte{
		"sa.key": key, "tokens.csv": []byte(tokens.String()), "audit.yaml": []byte(audit), "kwok.yaml": kwokStages,
	} {
		err = errors.Join(err, os.WriteFile(c.file(name), content, 0o600))
	}
	return err
}

// Kubeconfig writes one for the holder of a token and returns its path.
func (c *Cluster) Kubeconfig(name, token string) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters["simulated"] = &clientcmdapi.Cluster{Server: c.api, CertificateAuthority: c.certificate()}
	config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["simulated"] = &clientcmdapi.Context{Cluster: "simulated", AuthInfo: name}
	config.CurrentContext = "simulated"
	path := c.file(name + ".kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("write the kubeconfig of %s: %w", name, err)
	}
	return path, nil
}

// Token is what a pod of the ServiceAccount would have; without audiences it is for the API server.
func (c *Cluster) Token(ctx context.Context, namespace, account string, audiences ...string) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		Audiences: audiences, ExpirationSeconds: new(int64(6 * 3600)),
	}}
	answer, err := c.kube.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("get a token for ServiceAccount %s/%s: %w", namespace, account, err)
	}
	return answer.Status.Token, nil
}

func (c *Cluster) program(name string) string { return filepath.Join(c.options.Programs, name) }
func (c *Cluster) file(name string) string    { return filepath.Join(c.options.Dir, name) }

// certificate is what the API server made for itself; it is its own authority.
func (c *Cluster) certificate() string { return c.file("tls/apiserver.crt") }
