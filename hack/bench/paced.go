// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"
)

// servePaced serves a video over HTTP as a transport stream whose bytes come no sooner than they would play.
// The address is the node's own, so that pods reach it and nobody else.
func servePaced(ctx context.Context, ip, path string, seconds float64) (url string, stop func(), err error) {
	dir, err := os.MkdirTemp("", "mre-bench-")
	if err != nil {
		return "", nil, fmt.Errorf("serve the match: %w", err)
	}
	remove := func() { _ = os.RemoveAll(dir) }
	// A transport stream can be read while it grows, and has no index at its end.
	stream := filepath.Join(dir, "match.ts")
	remux := exec.CommandContext(ctx, "ffmpeg", "-nostdin", "-v", "error",
		"-i", path, "-c", "copy", "-f", "mpegts", stream)
	if out, err := remux.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("remux the match: %w: %s", err, out)
	}
	info, err := os.Stat(stream)
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("serve the match: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("serve the match (--node-ip): %w", err)
	}
	p := &paced{path: stream, size: info.Size(), bytesPerSecond: float64(info.Size()) / seconds}
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return fmt.Sprintf("http://%s/match.ts", listener.Addr()), func() {
		_ = server.Close()
		remove()
	}, nil
}

// paced serves one file. It does not know ranges: a live source has none either. Ingest looks at a recording
// once before it begins; that look is served at once, and the requests after it as fast as the video plays.
type paced struct {
	path           string
	size           int64
	bytesPerSecond float64
	looked         atomic.Bool
}

// lookedAt is the share of the file after which the first look counts as done: a reader that wants a number of
// seconds need not read the last packets.
const lookedAt = 0.9

func (p *paced) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, err := os.Open(p.path)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = f.Close() }()
	w.Header().Set("Content-Type", "video/mp2t")
	if r.Method == http.MethodHead {
		return
	}
	live := p.looked.Load()
	began, sent := time.Now(), int64(0)
	for {
		n, err := io.CopyN(w, f, 64<<10)
		sent += n
		if float64(sent) > lookedAt*float64(p.size) {
			p.looked.Store(true)
		}
		if err != nil {
			return // the end, or the reader went away
		}
		if !live {
			continue
		}
		due := began.Add(time.Duration(float64(sent) / p.bytesPerSecond * float64(time.Second)))
		select {
		case <-r.Context().Done():
			return
		case <-time.After(time.Until(due)):
		}
	}
}
