// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"strconv"
	"testing"

	"github.com/go-logr/logr"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mre-operator/mre-operator/internal/objectstore/storetest"
	"github.com/mre-operator/mre-operator/internal/scratch"
)

// memoryBytes is what rows, objects and etcd's history take when every point is run.
const memoryBytes = 4 << 30

// garbage is collected at so many percent, by these tests and by the servers beside them: there is more memory than
// there are cores.
const garbage = 400

func TestMain(m *testing.M) { os.Exit(runAll(m)) }

func runAll(m *testing.M) int {
	catchSignals()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	logf.SetLogger(logr.Discard())
	debug.SetGCPercent(garbage)
	// What the tests and the servers beside them write is thrown away.
	dir, err := os.MkdirTemp(scratch.Memory(memoryBytes), "mre-faults-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for name, value := range map[string]string{
		"TMPDIR": dir,
		// A call that fails is to fail: the SDK would try it again, out of sight.
		"AWS_MAX_ATTEMPTS": "1",
		"GOGC":             strconv.Itoa(garbage),
	} {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	return storetest.Main(m)
}
