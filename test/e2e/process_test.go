// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// processes finds the node's processes that run a part of mre, by part. Only those in a pod count: what else runs
// on this machine is none of our business.
func processes() (map[string][]int, error) {
	folders, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	found := map[string][]int{}
	for _, folder := range folders {
		part, err := partOf(folder)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it has ended meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("look at process %s: %w", filepath.Base(folder), err)
		}
		if part == "" {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(folder))
		if err != nil {
			return nil, err
		}
		found[part] = append(found[part], pid)
	}
	return found, nil
}

// partOf is the subcommand of a process of mre in a pod, or nothing.
func partOf(folder string) (string, error) {
	line, err := os.ReadFile(folder + "/cmdline")
	if err != nil {
		return "", err
	}
	args := bytes.Split(line, []byte{0})
	if len(args) < 2 || filepath.Base(string(args[0])) != "mre" || !slices.Contains(parts, string(args[1])) {
		return "", nil
	}
	group, err := os.ReadFile(folder + "/cgroup")
	if err != nil {
		return "", err
	}
	if !strings.Contains(string(group), "kubepods") {
		return "", nil
	}
	return string(args[1]), nil
}

// kill ends the processes of a part that run now, at once and without warning.
func kill(part string) (pids []int, err error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	for _, pid := range all[part] {
		// A process that has just ended by itself is as good as killed.
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return pids, fmt.Errorf("kill %s, process %d: %w", part, pid, err)
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
