// SPDX-License-Identifier: Apache-2.0

//go:build chaos

package chaos

import (
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// root is the repository, as seen from this package's folder.
const root = "../.."

var (
	binary = flag.String("mre", root+"/bin/mre", "The program under test.")
	// The kills are shared by the databases.
	kills    = flag.Int("kills", 1000, "How many processes are killed in all.")
	perRound = flag.Int("kills-per-round", 60, "After so many kills the Events of a round may finish in peace.")
	pause    = flag.Duration("pause", 700*time.Millisecond, "Mean time between two kills.")
	bound    = flag.Duration("bound", 10*time.Minute, "How long the Events of a round may take after its last kill.")
	lease    = flag.Duration("lease", 3*time.Second, "How long a task stays with a dead worker.")
	keep     = flag.String("keep", "", "Folder for the logs of all processes; none are kept when it is empty.")
)

// seed is printed, and can be set to see the same choices again. What is killed at which instruction is up to the
// machine all the same.
func seed(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("MRE_CHAOS_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("MRE_CHAOS_SEED=%s is not a number", text)
		}
		seed = n
	}
	t.Logf("kills by seed %d; the same choices again: MRE_CHAOS_SEED=%d", seed, seed)
	return rand.New(rand.NewPCG(seed, 0))
}
