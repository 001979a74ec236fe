// SPDX-License-Identifier: Apache-2.0

// Command bench measures MRE Operator against its goals: on the cluster of the
// kubeconfig in hand, where most benchmarks measure both sides in the same run,
// ours and the plainest way to do the same job; what the data plane does by
// itself, on each engine; and, for many Events, on a control plane of its own
// with simulated nodes. It prints a table and writes
// results.json, an array of Result.
//
// It reads the API server's audit log and the pods' cgroups, so it runs on the
// node itself; `make bench` makes the cluster and the image first. README.md
// says how to read the figures.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/mre-operator/mre-operator/internal/clusterclient"
	"github.com/mre-operator/mre-operator/test/fixtures/match"
)

type options struct {
	sizes
	image     string
	namespace string
	events    string
	out       string
	auditLog  string
	nodeIP    string
	only      *regexp.Regexp
	timeout   time.Duration
	profile   string
	ingest    string
	firstUnit bool
}

// benchmark is one line of the table, or a few that share a run.
type benchmark struct {
	names   []string
	measure func(context.Context, *bench) ([]Result, error)
	// alone: it makes what it needs; there need be no cluster.
	alone bool
}

var benchmarks = []benchmark{
	{names: []string{"pods-per-event", "api-writes-per-chunk"}, measure: measureAPI},
	{names: []string{"chunk-to-clip-ms-p50"}, measure: measureLatency},
	{names: []string{"analysis-vs-decode"}, measure: measureCPU},
	{names: []string{"pipeline-vs-job-per-step"}, measure: measurePipeline},
	{names: []string{"ingest-cpu-per-media-hour", "ingest-start"}, measure: measureIngest, alone: true},
	{names: taskNames("sqlite"), measure: measureTasks("sqlite"), alone: true},
	{names: taskNames("postgres"), measure: measureTasks("postgres"), alone: true},
	{names: invokeNames("sqlite"), measure: measureInvoke("sqlite"), alone: true},
	{names: invokeNames("postgres"), measure: measureInvoke("postgres"), alone: true},
	{names: []string{"worker-cold-start-s"}, measure: measureColdStart},
	{names: []string{"manager-rss-mib-1000-events", "cold-start-s-1000-events"}, measure: measureScale, alone: true},
}

// bench is what the benchmarks share.
type bench struct {
	options
	// cluster is nil until a benchmark needs it.
	cluster *clusterclient.Cluster
}

func main() {
	var o options
	only := ""
	flag.StringVar(&o.image, "image", "", "image of the operator, as NAME:TAG")
	flag.StringVar(&o.namespace, "namespace", "mre-system", "namespace of the operator")
	flag.StringVar(&o.events, "events-namespace", "mre-bench", "namespace of the Events; what is in it is replaced")
	flag.StringVar(&o.out, "out", "bench/out", "folder of the results")
	flag.StringVar(&o.auditLog, "audit-log", os.Getenv("MRE_AUDIT_LOG"), "the API server's audit log")
	flag.StringVar(&o.nodeIP, "node-ip", "10.97.0.1", "the node's address, for a source that is delivered in real time")
	flag.StringVar(&o.ingest, "ingest", "", "source to ingest, as a child of ingest-start")
	flag.BoolVar(&o.firstUnit, "first-unit", false, "with --ingest: end after the first unit")
	flag.StringVar(&only, "only", "", "regular expression of the benchmarks to run")
	smoke := flag.Bool("smoke", false, "measure everything at its smallest size, to see that it can be measured")
	flag.StringVar(&o.profile, "cpu-profile", "", "file for the CPU profile of the benchmarks that need no cluster")
	flag.DurationVar(&o.timeout, "timeout", 2*time.Hour, "how long all of it may take")
	flag.Parse()
	o.only = regexp.MustCompile(only)
	if o.sizes = usualSizes; *smoke {
		o.sizes = smokeSizes
	}
	// The clients' own log, which would otherwise complain that nobody reads it.
	log.SetLogger(logr.Discard())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	if o.ingest != "" {
		if err := ingestChild(ctx, o.ingest, o.firstUnit); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	b := &bench{options: o}
	var results []Result
	for _, m := range benchmarks {
		if !matchesAny(o.only, m.names) {
			say("left out by --only: %v", m.names)
			continue
		}
		if !m.alone {
			if err := b.connect(ctx); err != nil {
				return err
			}
		}
		say("measuring %v", m.names)
		r, err := m.measure(ctx, b)
		if err != nil {
			return fmt.Errorf("%v: %w", m.names, err)
		}
		results = append(results, r...)
	}
	if b.cluster != nil {
		if err := b.clean(ctx); err != nil {
			return err
		}
	}
	if o.meaningless {
		for i := range results {
			results[i].Goal = nil
		}
	}
	printTable(os.Stdout, results)
	return write(filepath.Join(o.out, "results.json"), results)
}

// connect prepares the cluster of the kubeconfig, once.
func (b *bench) connect(ctx context.Context) error {
	if b.cluster != nil {
		return nil
	}
	var err error
	if b.cluster, err = clusterclient.Connect(b.namespace); err != nil {
		return err
	}
	return b.prepare(ctx)
}

func matchesAny(pattern *regexp.Regexp, names []string) bool {
	return slices.ContainsFunc(names, pattern.MatchString)
}

// fixture is the match that every benchmark uses: 1080p30, an IDR frame each second.
func fixture(ctx context.Context, chunks int) (match.Match, error) {
	return match.Generate(ctx, match.Options{
		Seconds: chunks * chunkSeconds, Width: 1920, Height: 1080, Rate: rate30, GOPFrames: 30, Seed: 1,
	})
}

func say(format string, args ...any) { fmt.Printf(format+"\n", args...) }
