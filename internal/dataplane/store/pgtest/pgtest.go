// SPDX-License-Identifier: Apache-2.0

// Package pgtest runs a real PostgreSQL for tests and benchmarks: one server
// for each process that asks, made anew in a folder of its own. It is found
// where Debian's postgresql-15 puts it. It stops when the process ends,
// however that ends, and takes its folder with it.
package pgtest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"

	"github.com/mre-operator/mre-operator/internal/scratch"
)

const password = "test-password"

// Settings of the server. What makes a commit durable (fsync,
// synchronous_commit, full_page_writes) is as PostgreSQL ships it.
var Settings = []string{"max_connections=200", "shared_buffers=64MB", "log_min_messages=fatal"}

// supervisor stops the server and removes its folder when standard input ends,
// which it does with the process that holds the other end.
const supervisor = `"$1/postgres" -D "$2/data" -k "$2" -p "$3" -c listen_addresses=127.0.0.1 "${@:4}" </dev/null &
server=$!
cat >/dev/null
kill -INT $server 2>/dev/null
wait $server
cd /
rm -rf "$2"`

// Server is a running PostgreSQL.
type Server struct {
	port int
	dir  string
	// stdin keeps the supervisor waiting.
	stdin interface{ Close() error }
	cmd   *exec.Cmd
	admin *sql.DB

	mu        sync.Mutex
	databases int
	templated string
}

var shared = sync.OnceValues(func() (*Server, error) { return Start(scratch.Memory(memoryBytes)) })

// memoryBytes is what a server with some hundred databases takes. Its settings
// are the same in memory.
const memoryBytes = 4 << 30

// Start makes a server in a folder; the usual one for temporary files when it
// is empty.
func Start(in string) (s *Server, err error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(in, "mre-pgtest-")
	if err != nil {
		return nil, err
	}
	s = &Server{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("start PostgreSQL: %w", err), os.RemoveAll(dir))
		}
	}()
	who, err := unprivileged(dir)
	if err != nil {
		return nil, err
	}
	//nolint:gosec // another user reads it, and it protects nothing
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(password), 0o644); err != nil {
		return nil, err
	}
	made := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "mre",
		"-A", "scram-sha-256", "--pwfile", filepath.Join(dir, "password"), "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	made.Dir, made.SysProcAttr = dir, &syscall.SysProcAttr{Credential: who}
	if out, err := made.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	if s.port, err = freePort(); err != nil {
		return nil, err
	}
	args := []string{"-c", supervisor, "pgtest", bin, dir, strconv.Itoa(s.port)}
	for _, setting := range Settings {
		args = append(args, "-c", setting)
	}
	s.cmd = exec.Command("bash", args...)
	s.cmd.Dir, s.cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: who, Setpgid: true}
	output, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer output.Close()
	s.cmd.Stdout, s.cmd.Stderr = output, output
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	if s.admin, err = sql.Open("pgx", s.Address("postgres")); err != nil {
		return nil, err
	}
	s.admin.SetMaxOpenConns(1)
	return s, s.ready()
}

func (s *Server) ready() error {
	deadline := time.Now().Add(time.Minute)
	for {
		err := s.admin.Ping()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(filepath.Join(s.dir, "log")) // what it says is a bonus
			return fmt.Errorf("it does not answer: %w\n%s", err, said)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Stop stops the server and removes what it left.
func (s *Server) Stop() error {
	err := errors.Join(s.admin.Close(), s.stdin.Close())
	_ = s.cmd.Wait() // the supervisor has no say
	return err
}

// Kill ends the server at once, as a crash does.
func (s *Server) Kill() error { return s.signal(syscall.SIGQUIT) }

func (s *Server) signal(sig syscall.Signal) error {
	body, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	line, _, _ := bytes.Cut(body, []byte("\n"))
	pid, err := strconv.Atoi(string(line))
	if err != nil {
		return err
	}
	return syscall.Kill(pid, sig)
}

// Address of one of the server's databases.
func (s *Server) Address(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("mre", password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), Path: database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Create makes a database and returns its address. It is a copy of one that
// migrate has filled, once; migrate may be nil.
func (s *Server) Create(ctx context.Context, migrate func(address string) error) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.templated == "" && migrate != nil {
		if _, err := s.admin.ExecContext(ctx, `CREATE DATABASE migrated`); err != nil {
			return "", err
		}
		if err := migrate(s.Address("migrated")); err != nil {
			return "", err
		}
		s.templated = " TEMPLATE migrated"
	}
	template := ""
	if migrate != nil {
		template = s.templated
	}
	s.databases++
	name := fmt.Sprintf("test%d", s.databases)
	if _, err := s.admin.ExecContext(ctx, `CREATE DATABASE `+name+template); err != nil {
		return "", err
	}
	return s.Address(name), nil
}

// Drop removes a database that Create made, whoever still has it open: one takes
// some 8 MB, and a run may make thousands.
func (s *Server) Drop(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err = s.admin.ExecContext(ctx, `DROP DATABASE `+strings.TrimPrefix(u.Path, "/")+` WITH (FORCE)`)
	return err
}

// Database makes a database of the process's server for a test, and removes it
// with the test's end.
func Database(t testing.TB, migrate func(address string) error) string {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	address, err := s.Create(context.Background(), migrate)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Drop(context.Background(), address); err != nil {
			t.Errorf("remove the database: %v", err)
		}
	})
	return address
}

// findBinaries prefers Debian's version 15, and takes the newest other one.
func findBinaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if i := slices.Index(found, "/usr/lib/postgresql/15/bin/postgres"); i >= 0 {
		return filepath.Dir(found[i]), nil
	}
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		return "", errors.New("PostgreSQL is not installed: on Debian, `apt-get install postgresql-15`, or run the tests " +
			"with `make test`")
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

// unprivileged is whom the server runs as; it refuses to be root.
func unprivileged(dir string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, int(uid), int(gid))
	}
	return nil, errors.New("there is no user postgres, and PostgreSQL refuses to run as root")
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
