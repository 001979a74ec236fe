// SPDX-License-Identifier: Apache-2.0

// Command demo turns videos into highlight reels on the cluster of the
// kubeconfig in hand: it installs the operator, uploads the videos, applies the
// samples, follows the work in the terminal and shows what came out.
//
// `make demo` makes the cluster and the image first.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

type options struct {
	image     string
	video     string
	film      string
	namespace string
	events    string
	out       string
	setup     string
	timeout   time.Duration
	spent     spentFlag
}

func main() {
	var o options
	flag.StringVar(&o.image, "image", "", "image of the operator, as NAME:TAG; empty leaves the installed one alone")
	flag.StringVar(&o.video, "video", "",
		"one video of your own instead of the two of the demo: a file, or an http(s) address that the cluster reaches")
	flag.StringVar(&o.film, "film", "", "file of the demo's second video")
	flag.StringVar(&o.namespace, "namespace", "mre-system", "namespace of the operator")
	flag.StringVar(&o.events, "events-namespace", "mre-demo", "namespace of the Events; what is in it is replaced")
	flag.StringVar(&o.out, "out", "demo/out", "folder of the results")
	flag.StringVar(&o.setup, "setup", "", "what points a shell at the cluster, for the commands to try at the end")
	flag.DurationVar(&o.timeout, "timeout", 30*time.Minute, "how long all of it may take")
	flag.Var(&o.spent, "spent", "PART=SECONDS that an earlier step took, for the summary; may be repeated")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout,
		fmt.Errorf("the demo did not end within %s (see --timeout)", o.timeout))
	defer cancel()
	if err := run(ctx, o); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.Join(context.Cause(ctx), err)
		}
		fmt.Fprintln(os.Stderr, "demo:", strings.ReplaceAll(err.Error(), "\n", "\n  "))
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	d, err := newDemo(o)
	if err != nil {
		return err
	}
	steps := []struct {
		part string
		do   func(context.Context) error
	}{
		{"install", d.install},
		{"inputs", d.prepareInputs},
		{"clean", d.clean},
		{"pipeline", d.runPipeline},
		{"results", d.collect},
	}
	for _, step := range steps {
		if err := d.times.measure(step.part, func() error { return step.do(ctx) }); err != nil {
			return err
		}
	}
	if err := d.writeSummary(); err != nil {
		return err
	}
	d.printResults()
	if err := d.verdict(); err != nil {
		return err
	}
	say("")
	for _, line := range d.toTry() {
		say("%s", line)
	}
	return nil
}
