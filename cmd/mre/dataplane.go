// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"

	"github.com/mre-operator/mre-operator/internal/dataplane/auth"
	"github.com/mre-operator/mre-operator/internal/dataplane/server"
	"github.com/mre-operator/mre-operator/internal/dataplane/store"
	"github.com/mre-operator/mre-operator/internal/objects"
)

func init() { commands = append(commands, newDataplaneCommand) }

type dataplaneFlags struct {
	listen, metricsListen string
	tlsDir                string
	database              string
	databaseFile          string
	lease                 time.Duration
	bucket                objects.Config
	kubeconfig            string
	manager, agent        string
	viewers               []string
	server                server.Options
}

func newDataplaneCommand() *cobra.Command {
	var f dataplaneFlags
	cmd := &cobra.Command{
		Use:   "dataplane",
		Short: "Serve the API over units, chunks, tasks, segments, clips and reels",
		Long: "Serve the API over units, chunks, tasks, segments, clips and reels.\n\n" +
			"The bucket's credentials come from the AWS SDK's default chain: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,\n" +
			"AWS_SHARED_CREDENTIALS_FILE, a web identity or the node's role.\n\n" +
			"Rows are kept by SQLite, in a file that one process has open, or by PostgreSQL, which any number of replicas\n" +
			"share. An address of PostgreSQL holds a password: give it by --database-file or " +
			databaseVariable + ", not as a flag.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDataplane(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", ":8080", "Address of the API, /healthz and /readyz.")
	flags.StringVar(&f.metricsListen, "metrics-listen", ":8081", "Address of /metrics.")
	flags.StringVar(&f.tlsDir, "tls-dir", "",
		"Folder with tls.crt and tls.key, to serve the API over TLS; they are read again when they change. Empty for HTTP.")
	f.addDatabase(flags)
	flags.DurationVar(&f.lease, "lease-duration", 20*time.Second,
		"How long a task stays with a worker that is silent. It heartbeats three times as often.")
	flags.StringVar(&f.bucket.Bucket, "bucket", "mre", "Bucket of all media; it is made when it does not exist.")
	flags.StringVar(&f.bucket.Prefix, "bucket-prefix", "",
		"What stands before every key in the bucket; ends with a slash.")
	flags.StringVar(&f.bucket.Endpoint, "object-store-endpoint", "",
		"URL of the object store for this process and the Jobs; empty for AWS S3.")
	flags.StringVar(&f.bucket.PublicEndpoint, "object-store-public-endpoint", "",
		"URL of the object store for people: signed downloads point at it. Empty for the same as inside.")
	flags.StringVar(&f.bucket.Region, "object-store-region", "us-east-1", "Region of the bucket.")
	flags.BoolVar(&f.bucket.PathStyle, "object-store-path-style", false,
		"Put the bucket's name into the path; most stores other than AWS S3 need it.")
	flags.BoolVar(&f.bucket.ChecksumWhenRequired, "object-store-checksums-when-required", false,
		"Leave out checksums that S3 does not require; for stores that refuse them.")
	flags.StringVar(&f.kubeconfig, "kubeconfig", "",
		"Kubeconfig for the questions who a caller is and may do; empty inside a cluster.")
	flags.StringVar(&f.manager, "manager-service-account", "mre-system/mre-manager",
		"NAMESPACE/NAME of the manager, which may do everything.")
	flags.StringVar(&f.agent, "agent-service-account", "mre-agent",
		"Name of the Jobs' account in each namespace; a pod of it works for the Event whose Job it belongs to.")
	flags.StringSliceVar(&f.viewers, "viewer-service-account", []string{"mre-system/mre-viewer"},
		"NAMESPACE/NAME of an account that may read everything; can be repeated.")
	flags.DurationVar(&f.server.URLLifetime, "url-lifetime", 15*time.Minute,
		"How long signed URLs work; a task's URLs live at least as long as its time-out.")
	flags.DurationVar(&f.server.SourceURLLifetime, "source-url-lifetime", 12*time.Hour,
		"How long the signed URL of an s3:// source works; it must last for the whole ingest.")
	flags.DurationVar(&f.server.SweepAge, "sweep-age", time.Hour,
		"Age from which an object that no row names is removed; not less than --url-lifetime.")
	flags.DurationVar(&f.server.RetainRows, "retain-rows", 30*24*time.Hour, "Age from which rows that nobody needs are "+
		"deleted: tombstones of what is gone, and superseded plans of Replays with their reels.")
	flags.DurationVar(&f.server.SweepInterval, "sweep-interval", 5*time.Minute,
		"Time between two looks at the bucket for objects to remove.")
	cmd.AddCommand(newBackupCommand())
	return cmd
}

// databaseVariable is the environment variable that names the database.
const databaseVariable = "MRE_DATABASE"

func (f *dataplaneFlags) addDatabase(flags *pflag.FlagSet) {
	flags.StringVar(&f.database, "database", "/var/lib/mre/dataplane.db",
		"File of the SQLite database, or postgres://USER:PASSWORD@HOST:PORT/DATABASE. The default is "+
			databaseVariable+", where it is set.")
	flags.StringVar(&f.databaseFile, "database-file", "",
		"File that holds what --database would say, such as one of a mounted Secret; it comes first.")
	if named := os.Getenv(databaseVariable); named != "" {
		f.database = named
	}
}

// databaseName is where the rows are.
func (f dataplaneFlags) databaseName() (string, error) {
	if f.databaseFile == "" {
		return f.database, nil
	}
	text, err := os.ReadFile(f.databaseFile)
	if err != nil {
		return "", fmt.Errorf("--database-file: %w", err)
	}
	name := strings.TrimSpace(string(text))
	if name == "" {
		return "", fmt.Errorf("--database-file: %s is empty; it must hold a postgres:// address "+
			"or a file's path", f.databaseFile)
	}
	return name, nil
}

func newBackupCommand() *cobra.Command {
	var f dataplaneFlags
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the SQLite database to a new file while the data plane works",
		Long: "Copy the SQLite database to a new file, or - for the standard output, while the data plane works.\n\n" +
			"To restore it, stop the data plane, put the copy in the database's place, without the -wal and " +
			"-shm files beside\nthe old one, and start it again. PostgreSQL is backed up with pg_dump.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := f.databaseName()
			if err != nil {
				return err
			}
			if args[0] == "-" {
				return backupTo(cmd.Context(), name, cmd.OutOrStdout())
			}
			return store.Backup(cmd.Context(), name, args[0])
		},
	}
	f.addDatabase(cmd.Flags())
	return cmd
}

// backupTo writes a copy to a stream.
func backupTo(ctx context.Context, database string, to io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "mre-backup-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "backup.db")
	if err := store.Backup(ctx, database, file); err != nil {
		return err
	}
	copied, err := os.Open(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, copied)
	return errors.Join(err, copied.Close())
}

func (f dataplaneFlags) accounts() (auth.Accounts, error) {
	accounts := auth.Accounts{AgentName: f.agent}
	var err error
	if accounts.Manager, err = auth.ParseServiceAccount(f.manager); err != nil {
		return auth.Accounts{}, fmt.Errorf("--manager-service-account: %w", err)
	}
	for _, name := range f.viewers {
		viewer, err := auth.ParseServiceAccount(name)
		if err != nil {
			return auth.Accounts{}, fmt.Errorf("--viewer-service-account: %w", err)
		}
		accounts.Viewers = append(accounts.Viewers, viewer)
	}
	return accounts, nil
}

func runDataplane(ctx context.Context, f dataplaneFlags) (err error) {
	if err := f.server.Validate(); err != nil {
		return err
	}
	accounts, err := f.accounts()
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", f.kubeconfig)
	if err != nil {
		return fmt.Errorf("find the cluster (set --kubeconfig outside of one): %w", err)
	}
	// Who calls is asked once in a while for each token. A caller must not wait for others in a queue of ours: the API
	// server has one that is fair.
	config.QPS = -1
	cluster, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client of the cluster: %w", err)
	}
	pods, err := metadata.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client of the cluster: %w", err)
	}
	bucket, err := objects.Open(ctx, f.bucket)
	if err != nil {
		return err
	}
	database, err := f.databaseName()
	if err != nil {
		return err
	}
	rows, err := store.Open(ctx, database,
		store.Options{Clock: clock.RealClock{}, LeaseDuration: f.lease, Location: bucket.Location})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", f.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer listener.Close()
	if f.tlsDir != "" {
		if listener, err = server.WithTLS(ctx, listener, f.tlsDir); err != nil {
			return fmt.Errorf("--tls-dir: %w", err)
		}
	}
	metrics, err := listen.Listen(ctx, "tcp", f.metricsListen)
	if err != nil {
		return fmt.Errorf("--metrics-listen: %w", err)
	}
	defer metrics.Close()
	authenticator := auth.NewAuthenticator(cluster, pods, accounts, clock.RealClock{})
	return server.New(rows, bucket, authenticator, clock.RealClock{}, f.server).Run(ctx, listener, metrics)
}
