// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1alpha1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	dpclient "github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/test/support/jobpod"
)

// node stands in for the kubelet and the controller of Jobs: it runs the command of every Job as a process of this
// machine, and writes into the Job's status how it ended.
type node struct {
	*world
	mu sync.Mutex
	// ingests play the ingest Jobs of Events, by the Event's name. An Event without one has the real ingest.
	ingests map[string]func(ctx context.Context, agent *dpclient.Client, uid string) error
	// jobs are those that were started, until they are gone.
	jobs map[types.UID]*job
}

type job struct {
	batchv1.Job
	cancel context.CancelFunc
	ended  bool
}

func newNode(w *world) *node {
	return &node{world: w, ingests: map[string]func(context.Context, *dpclient.Client, string) error{},
		jobs: map[types.UID]*job{}}
}

// play makes a function the ingest Job of an Event.
func (n *node) play(event string, ingest func(ctx context.Context, agent *dpclient.Client, uid string) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ingests[event] = ingest
}

func (n *node) run(ctx context.Context) {
	for ctx.Err() == nil {
		var list batchv1.JobList
		if err := n.cluster.List(ctx, &list, client.InNamespace(namespace)); err == nil {
			n.look(ctx, list.Items)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// look starts what is new and ends what is gone.
func (n *node) look(ctx context.Context, there []batchv1.Job) {
	n.mu.Lock()
	defer n.mu.Unlock()
	gone := map[types.UID]bool{}
	for uid := range n.jobs {
		gone[uid] = true
	}
	for i := range there {
		j := &there[i]
		delete(gone, j.UID)
		if n.jobs[j.UID] != nil {
			continue
		}
		for _, other := range n.jobs {
			if !other.ended && slot(&other.Job) == slot(j) && !gone[other.UID] {
				n.fault("Job %s was made while %s of the same slot runs", j.Name, other.Name)
			}
		}
		running, cancel := context.WithCancel(ctx)
		started := &job{Job: *j, cancel: cancel}
		n.jobs[j.UID] = started
		go n.work(running, started, n.ingests[j.Labels[mrev1alpha1.LabelEvent]])
	}
	for uid := range gone {
		n.jobs[uid].cancel()
		delete(n.jobs, uid)
	}
}

// slot is what only one Job at a time may have.
func slot(j *batchv1.Job) string {
	l := j.Labels
	return l[mrev1alpha1.LabelEventUID] + " " + l[mrev1alpha1.LabelRole] + " " + l[mrev1alpha1.LabelOrdinal]
}

// work is the life of a Job's pod.
func (n *node) work(ctx context.Context, j *job,
	ingest func(ctx context.Context, agent *dpclient.Client, uid string) error) {
	n.report(ctx, j, func(s *batchv1.JobStatus) {
		at := metav1.Now()
		s.StartTime, s.Active, s.Ready = &at, 1, new(int32(1))
	})
	err := n.live(ctx, j, ingest)
	n.mu.Lock()
	j.ended = true
	n.mu.Unlock()
	n.report(ctx, j, func(s *batchv1.JobStatus) { end(s, err) })
}

// live runs what is in the pod, for as long as there is a pod.
func (n *node) live(ctx context.Context, j *job,
	ingest func(ctx context.Context, agent *dpclient.Client, uid string) error) error {
	pod, err := jobpod.Make(ctx, n.cluster, &j.Job)
	if err != nil {
		if ctx.Err() == nil {
			n.fault("%v", err)
		}
		return err
	}
	defer func() { _ = n.cluster.Delete(context.WithoutCancel(ctx), pod, client.GracePeriodSeconds(0)) }()
	token, err := n.podToken(pod)
	if err != nil {
		if ctx.Err() == nil {
			n.fault("%v", err)
		}
		return err
	}
	if j.Labels[mrev1alpha1.LabelRole] != "ingest" || ingest == nil {
		return n.process(ctx, j, token)
	}
	file := filepath.Join(n.dir, j.Name+".token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return err
	}
	if err = ingest(ctx, n.client(file), j.Labels[mrev1alpha1.LabelEventUID]); err != nil && ctx.Err() == nil {
		n.fault("deliver to Event %s: %v", j.Labels[mrev1alpha1.LabelEvent], err)
	}
	return err
}

// end is what the controller of Jobs writes when a pod has ended.
func end(s *batchv1.JobStatus, err error) {
	at := metav1.Now()
	s.Active, s.Ready = 0, new(int32(0))
	kinds := []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete}
	if err != nil {
		kinds = []batchv1.JobConditionType{batchv1.JobFailureTarget, batchv1.JobFailed}
		s.Failed = 1
	} else {
		s.Succeeded, s.CompletionTime = 1, &at
	}
	for _, kind := range kinds {
		s.Conditions = append(s.Conditions, batchv1.JobCondition{Type: kind, Status: corev1.ConditionTrue, Reason: "Chaos",
			LastTransitionTime: at, LastProbeTime: at})
	}
}

func (n *node) report(ctx context.Context, j *job, change func(*batchv1.JobStatus)) {
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		var fresh batchv1.Job
		if err := n.cluster.Get(ctx, client.ObjectKeyFromObject(&j.Job), &fresh); err != nil {
			return err
		}
		change(&fresh.Status)
		return n.cluster.Status().Update(ctx, &fresh)
	})
	if client.IgnoreNotFound(err) != nil && ctx.Err() == nil {
		n.fault("write the status of Job %s: %v", j.Name, err)
	}
}

// process runs the container of a Job, with its volumes in a folder.
func (n *node) process(ctx context.Context, j *job, token string) error {
	pod := &j.Spec.Template.Spec
	container := &pod.Containers[0]
	dir, err := os.MkdirTemp(n.dir, j.Name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var paths []string
	for _, mount := range container.VolumeMounts {
		folder := filepath.Join(dir, mount.Name)
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
		paths = append(paths, mount.MountPath, folder)
	}
	for _, volume := range pod.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ServiceAccountToken == nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, volume.Name, source.ServiceAccountToken.Path),
				[]byte(token), 0o600); err != nil {
				return err
			}
		}
	}
	mounted := strings.NewReplacer(paths...)
	args := []string{}
	for _, arg := range container.Args {
		args = append(args, mounted.Replace(arg))
	}
	args = append(args, "--scratch-dir="+filepath.Join(dir, "scratch"))
	var env []string
	for _, v := range container.Env {
		if v.ValueFrom != nil {
			v.Value = j.Name + "-pod" // the only field that is asked for is the pod's name
		}
		env = append(env, v.Name+"="+mounted.Replace(v.Value))
	}
	p, err := n.processes.start(j.Labels[mrev1alpha1.LabelRole], j.Name, env, args...)
	if err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-ctx.Done():
		n.terminate(p, time.Duration(*pod.TerminationGracePeriodSeconds)*time.Second)
	}
	if p.err != nil && !p.killed.Load() && ctx.Err() == nil {
		n.note("%s ended by itself: %v\n%s", j.Name, p.err, n.processes.lastWords(j.Name))
	}
	if p.err != nil {
		return fmt.Errorf("%s: %w", j.Name, p.err)
	}
	return nil
}

// terminate asks first.
func (n *node) terminate(p *process, grace time.Duration) {
	p.signal(syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(grace):
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
}
