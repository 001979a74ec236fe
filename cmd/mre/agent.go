// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/dataplane/client"
	"github.com/mre-operator/mre-operator/plugin-runtime/agent"
)

// jobOptions are the flags of the three subcommands that run as Jobs.
type jobOptions struct {
	dataPlaneURL, tokenFile, caFile, eventUID, scratchDir, holder string
	patience                                                      time.Duration
	// What follows is the agents' alone.
	cacheMiB     int64
	maxTasks     int
	ordinal      int32
	recycleAfter int
}

func (o *jobOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.dataPlaneURL, "dataplane-url", "https://mre-dataplane.mre-system.svc:8080", "The data plane's address.")
	f.StringVar(&o.tokenFile, "token-file", "/var/run/secrets/mre/token",
		"The ServiceAccount token for the data plane; it is read again for each request.")
	f.StringVar(&o.caFile, "ca-file", "",
		"The authorities that may have signed the data plane's certificate; the system's "+
			"when not set. It is read again from time to time.")
	f.StringVar(&o.eventUID, "event-uid", "", "The UID of the Event to work for.")
	f.StringVar(&o.scratchDir, "scratch-dir", "/scratch", "A folder for temporary files. What is in it is lost.")
	f.StringVar(&o.holder, "holder", os.Getenv("POD_NAME"),
		"Who works, shown to people; the environment's POD_NAME when not set.")
	f.DurationVar(&o.patience, "dataplane-patience", 10*time.Minute,
		"How long the data plane may be away before the process gives up.")
	// The flag exists: it was defined a few lines ago.
	_ = cmd.MarkFlagRequired("event-uid")
}

// registerAgent adds the flags of the subcommands that lease tasks.
func (o *jobOptions) registerAgent(cmd *cobra.Command, cacheMiB int64) {
	o.register(cmd)
	f := cmd.Flags()
	f.Int64Var(&o.cacheMiB, "cache-mib", cacheMiB, "How much of the scratch folder units may use between tasks, in MiB.")
	f.Int32Var(&o.ordinal, "ordinal", -1,
		"The Job's slot, from 0: the data plane tells slots above the wanted number to end; -1 is never told.")
	f.IntVar(&o.recycleAfter, "recycle-after-chunks", 0,
		"End when all is done that there is to do for so many chunks; 0 is no limit.")
	f.IntVar(&o.maxTasks, "max-tasks", 0, "End after so many tasks, to have a fresh process for each few; 0 is no limit.")
}

// client is for calls that may each be repeated for so long.
func (o *jobOptions) client(retryFor time.Duration) (*client.Client, error) {
	options := client.Options{BaseURL: o.dataPlaneURL, TokenFile: o.tokenFile,
		UserAgent: "mre/" + buildVersion(), RetryFor: retryFor}
	if o.caFile != "" {
		options.Trust = client.TrustFile(o.caFile)
	}
	return client.New(options)
}

func (o *jobOptions) name() (string, error) {
	if o.holder != "" {
		return o.holder, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("no --holder, and no host name instead: %w", err)
	}
	return host, nil
}

// runAgent works for one pool until the Event has no more tasks for it.
func (o *jobOptions) runAgent(ctx context.Context, pool api.Pool, runner agent.Runner) error {
	holder, err := o.name()
	if err != nil {
		return err
	}
	// The loop has patience of its own.
	c, err := o.client(5 * time.Second)
	if err != nil {
		return err
	}
	log := slog.Default().With("event", o.eventUID)
	config := agent.Config{Client: c, EventUID: o.eventUID, Holder: holder, Pool: pool, Runner: runner,
		Patience: o.patience, MaxTasks: o.maxTasks, RecycleAfterChunks: o.recycleAfter, Log: log}
	if o.ordinal >= 0 {
		config.Ordinal = &o.ordinal
	}
	err = agent.Run(ctx, config)
	if errors.Is(err, agent.ErrStopped) {
		// Not 0: an exit 0 on SIGTERM would make a deleted pod's Job Complete.
		return fmt.Errorf("stopped: %w", err)
	}
	return err
}
