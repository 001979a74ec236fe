// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// cpuSampler follows what the pods of a namespace use. A pod's cgroup goes with the pod, so it is read often
// and its last figure is kept; what is missed is at most one interval.
type cpuSampler struct {
	mu    sync.Mutex
	roles map[string]string        // pod UID → role
	used  map[string]time.Duration // pod UID → CPU time
}

// sampleCPU follows the pods until the context ends.
func (b *bench) sampleCPU(ctx context.Context) *cpuSampler {
	s := &cpuSampler{roles: map[string]string{}, used: map[string]time.Duration{}}
	go func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if n%5 == 0 {
				s.learn(ctx, b.cluster, b.events)
			}
			s.sample()
		}
	}()
	return s
}

func (s *cpuSampler) learn(ctx context.Context, c client.Reader, namespace string) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(namespace), client.HasLabels{mrev1.LabelEventUID}); err != nil {
		return // the next round asks again
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range pods.Items {
		s.roles[string(pods.Items[i].UID)] = pods.Items[i].Labels[mrev1.LabelRole]
	}
}

func (s *cpuSampler) sample() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for uid := range s.roles {
		if used, ok := podCPU(uid); ok && used > s.used[uid] {
			s.used[uid] = used
		}
	}
}

// seconds adds up the pods of some roles.
func (s *cpuSampler) seconds(roles ...string) (sum float64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, role := range roles {
		pods := 0
		for uid, r := range s.roles {
			if r == role {
				sum += s.used[uid].Seconds()
				pods++
			}
		}
		if pods == 0 {
			return 0, fmt.Errorf("no %s pod was seen", role)
		}
	}
	return sum, nil
}

// podCPU reads the cgroup of a pod, whichever class of service it has: cpuacct.usage in nanoseconds of
// cgroup v1, usage_usec of cpu.stat of v2.
func podCPU(uid string) (time.Duration, bool) {
	for _, class := range []string{"", "burstable", "besteffort"} {
		pod := filepath.Join("kubepods", class, "pod"+uid)
		if text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup/cpuacct", pod, "cpuacct.usage")); err == nil {
			n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
			return time.Duration(n), err == nil
		}
		if text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", pod, "cpu.stat")); err == nil {
			var usec int64
			_, err := fmt.Sscanf(string(text), "usage_usec %d", &usec)
			return time.Duration(usec) * time.Microsecond, err == nil
		}
	}
	return 0, false
}

// decodeCPU is the CPU time of one plain decode of a file, picture and sound.
func decodeCPU(ctx context.Context, path string) (float64, error) {
	cmd := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error", "-i", path, "-f", "null", "-")
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("decode %s: %w: %s", path, err, out)
	}
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
}
