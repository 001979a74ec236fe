// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"os"
	"os/signal"
	"syscall"
)

var (
	signals = make(chan os.Signal, 1)
	parent  = os.Getppid()
)

// catchSignals lets a sweep end in good order: the runs under way are finished, the servers beside it stopped, and
// the table printed. SIGPIPE comes when nobody reads the output any more.
func catchSignals() { signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGPIPE) }

// stopped says that nobody wants to know any more. A go test that is ended does not tell what it runs.
func stopped() bool { return len(signals) > 0 || os.Getppid() != parent }
