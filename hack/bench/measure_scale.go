// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

const (
	scaleNamespaces = 20
	// scaleUnitPeriod is how often each Event gets a unit: as often as a source in real time does.
	scaleUnitPeriod = unitSeconds * time.Second
	// scaleQuiet is how long the manager must not write before it is killed: longer than it may hold back a status.
	scaleQuiet = 12 * time.Second

	goalManagerMiB       = 512
	goalColdStartSeconds = 30
)

// measureScale runs one manager with many Events on simulated nodes: what memory it takes while all of them move, and
// how long a new one takes to have looked at all of them after the old one was killed.
func measureScale(ctx context.Context, b *bench) ([]Result, error) {
	s, err := startScale(ctx, b.out, b.sizes)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	if load, err := os.ReadFile("/proc/loadavg"); err == nil {
		say("  load of the machine: %s, on %d CPUs", strings.Join(strings.Fields(string(load))[:3], " "), runtime.NumCPU())
	}
	if err := s.populate(ctx); err != nil {
		return nil, err
	}
	highest, err := s.steady(ctx)
	if err != nil {
		return nil, err
	}
	var seconds []float64
	coldStarts := b.times(3)
	for i := range coldStarts {
		took, err := s.coldStart(ctx, s.events[i])
		if err != nil {
			return nil, err
		}
		seconds = append(seconds, took.Seconds())
		m, err := memoryOf(s.manager.PID())
		if err != nil {
			return nil, err
		}
		highest = max(highest, m.peak)
	}
	slices.Sort(seconds)
	return []Result{
		{Name: "manager-rss-mib-1000-events", Unit: "MiB, highest", Ours: mib(highest),
			Goal: new(float64(goalManagerMiB)), Runs: 1},
		{Name: "cold-start-s-1000-events", Unit: "s", Ours: median(seconds),
			Goal: new(float64(goalColdStartSeconds)), Runs: coldStarts},
	}, nil
}

// populate makes the Events and waits until each has units and all of its Jobs run.
func (s *scale) populate(ctx context.Context) error {
	began := time.Now()
	if err := s.makeEvents(ctx); err != nil {
		return err
	}
	say("  made %d Events in %d namespaces in %.0f s", len(s.events), scaleNamespaces, time.Since(began).Seconds())
	if err := s.awaitPlans(ctx); err != nil {
		return err
	}
	if err := s.openSources(ctx); err != nil {
		return err
	}
	jobs, err := s.awaitJobs(ctx)
	if err != nil {
		return err
	}
	m, err := memoryOf(s.manager.PID())
	if err != nil {
		return err
	}
	say("  all are active, with %d running Jobs, after %.0f s; the manager takes %.0f MiB, at most %.0f MiB so far",
		jobs, time.Since(began).Seconds(), mib(m.now), mib(m.peak))
	return nil
}

// steady lets units come and returns the highest that the manager has taken since it started, in bytes.
func (s *scale) steady(ctx context.Context) (int64, error) {
	feeding, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	fed := make(chan error, 1)
	go func() {
		err := s.feed(feeding, scaleUnitPeriod)
		stop(err)
		fed <- err
	}()
	if err := pause(feeding, s.scaleWarm); err != nil {
		return 0, err
	}
	from, units := time.Now(), s.units.Load()
	before, err := s.scrape(ctx)
	if err != nil {
		return 0, err
	}
	var highest memory
	for time.Since(from) < s.scaleSteady {
		if err := pause(feeding, 500*time.Millisecond); err != nil {
			return 0, errors.Join(err, s.sim.Check())
		}
		m, err := memoryOf(s.manager.PID())
		if err != nil {
			return 0, errors.Join(err, s.sim.Check())
		}
		highest.now, highest.peak = max(highest.now, m.now), max(highest.peak, m.peak)
	}
	seconds := time.Since(from).Seconds()
	after, err := s.scrape(ctx)
	if err != nil {
		return 0, err
	}
	writes, err := countAudit(s.sim.AuditLog, from, time.Now(), managerWrite)
	if err != nil {
		return 0, err
	}
	units = s.units.Load() - units
	stop(nil)
	if err := <-fed; err != nil && !errors.Is(err, context.Canceled) {
		return 0, err
	}
	say("  %.0f s with %.0f units/s (of %.0f), %.0f reconciles/s, %.0f API writes/s: the manager takes up to "+
		"%.0f MiB, %.0f MiB at its peak",
		seconds, float64(units)/seconds, float64(len(s.events))/scaleUnitPeriod.Seconds(),
		(after.reconciles-before.reconciles)/seconds, float64(writes)/seconds, mib(highest.now), mib(highest.peak))
	return highest.peak, nil
}

// coldStart kills the manager and starts another. It has taken over when it has asked the data plane about every
// Event, its queue is empty, as many reconciles have succeeded as there are Events, and it has acted on a change of
// an Event's spec that was made after its start.
func (s *scale) coldStart(ctx context.Context, probe *simulated) (time.Duration, error) {
	if err := s.awaitQuiet(ctx); err != nil {
		return 0, err
	}
	s.manager.Kill()
	s.witness.forget()
	from := time.Now()
	if err := s.startManager(ctx); err != nil {
		return 0, err
	}
	generation, err := s.touch(ctx, probe)
	if err != nil {
		return 0, err
	}
	var elected, caughtUp, acted time.Duration
	var last sample
	err = s.sim.Await(ctx, "the new manager has looked at every Event", 100*time.Millisecond, 10*time.Minute,
		func(ctx context.Context) (bool, error) {
			if acted == 0 {
				var e mrev1.Event
				if err := s.cluster.Get(ctx, client.ObjectKeyFromObject(probe.event), &e); err != nil {
					return false, err
				}
				if e.Status.ObservedGeneration >= generation {
					acted = time.Since(from)
				}
			}
			asked := s.witness.count()
			// It does not listen at once.
			if m, err := s.scrape(ctx); err == nil {
				last = m
				if elected == 0 && m.leader {
					elected = time.Since(from)
				}
				if caughtUp == 0 && asked == len(s.events) && m.reconciles >= float64(len(s.events)) && m.depth == 0 {
					caughtUp = time.Since(from)
				}
			}
			return caughtUp > 0 && acted > 0, nil
		})
	if err != nil {
		return 0, fmt.Errorf("%w (%d Events asked for, %.0f reconciles, depth %.0f)",
			err, s.witness.count(), last.reconciles, last.depth)
	}
	took := max(caughtUp, acted)
	// What it writes late counts, too.
	if err := s.awaitQuiet(ctx); err != nil {
		return 0, err
	}
	writes, err := countAudit(s.sim.AuditLog, from, time.Now(), managerWrite)
	if err != nil {
		return 0, err
	}
	m, err := memoryOf(s.manager.PID())
	if err != nil {
		return 0, err
	}
	say("  cold start: %.1f s (leader after %.1f s, the changed Event seen after %.1f s, all %d after %.1f s), %d failed "+
		"reconciles, %d API writes, 1 of them for the change; %.0f MiB at its peak",
		took.Seconds(), elected.Seconds(), acted.Seconds(), len(s.events),
		caughtUp.Seconds(), int(last.errors), writes, mib(m.peak))
	return took, nil
}

// awaitQuiet waits until the manager has nothing left to write.
func (s *scale) awaitQuiet(ctx context.Context) error {
	return s.sim.Await(ctx, "the manager writes no more", 2*time.Second, 5*time.Minute,
		func(context.Context) (bool, error) {
			if time.Since(s.managerSince) < scaleQuiet {
				return false, nil
			}
			n, err := countAudit(s.sim.AuditLog, time.Now().Add(-scaleQuiet), time.Now(), managerWrite)
			return n == 0, err
		})
}

// managerWrite tells whether an entry of the simulated cluster's audit log, which holds the manager's writes alone, is
// about more than leader election: the Lease, and the Kubernetes Event that tells of a new leader.
func managerWrite(e auditEntry) bool { return e.isWrite() && e.ObjectRef.Namespace != scaleInstall }

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }
