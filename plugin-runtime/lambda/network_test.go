// SPDX-License-Identifier: Apache-2.0

package lambda

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What a plugin may do to its connections harms no other one: while it does, an invocation goes through.
func TestHostileConnections(t *testing.T) {
	tests := map[string]func(t *testing.T, c net.Conn){
		"silent":        func(*testing.T, net.Conn) {},
		"half a header": func(_ *testing.T, c net.Conn) { fmt.Fprint(c, "GET /2018-06-01/runtime/inv") },
		"half a body":   func(_ *testing.T, c net.Conn) { fmt.Fprint(c, request("POST", "init/error", 1000)+"{") },
		"body of next":  func(_ *testing.T, c net.Conn) { fmt.Fprint(c, request("GET", "invocation/next", 1000)+"{") },
		"nonsense":      func(_ *testing.T, c net.Conn) { fmt.Fprint(c, "\x16\x03\x01\x00\r\n\r\n") },
		"body never read": func(_ *testing.T, c net.Conn) {
			fmt.Fprint(c, request("POST", "invocation/old/response", 5<<30)+"{")
		},
		"answer not read": func(_ *testing.T, c net.Conn) {
			fmt.Fprint(c, strings.Repeat(request("POST", "nothing", 0), 1000))
		},
		"chunks of nothing": func(_ *testing.T, c net.Conn) {
			fmt.Fprint(c, "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n")
		},
		"huge header": func(t *testing.T, c net.Conn) {
			go func() { _, _ = io.CopyN(c, endless{}, 1<<20) }()
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil && resp.StatusCode < 400 {
				t.Errorf("a huge header got %s", resp.Status)
			}
		},
	}
	for name, attack := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			ctx, cancel := context.WithCancel(t.Context())
			var lc net.ListenConfig
			l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- r.Serve(ctx, l) }()
			for range 10 {
				var d net.Dialer
				c, err := d.DialContext(ctx, "tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				attack(t, c)
			}
			invokeOver(ctx, t, r, l.Addr().String())
			cancel()
			if err := <-served; err != nil {
				t.Errorf("Serve ended with %v", err)
			}
		})
	}
}

func invokeOver(ctx context.Context, t *testing.T, r *rig, addr string) {
	t.Helper()
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		base := "http://" + addr + "/2018-06-01/runtime/invocation/"
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+"next", nil)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("next: %v", err)
			return
		}
		_ = resp.Body.Close()
		req, _ = http.NewRequestWithContext(ctx, http.MethodPost,
			base+resp.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", strings.NewReader(`"well"`))
		if resp, err = http.DefaultClient.Do(req); err != nil {
			t.Errorf("response: %v", err)
			return
		}
		_ = resp.Body.Close()
	}()
	answer, err := r.Invoke(ctx, Invocation{Timeout: time.Minute, Event: func(time.Time) ([]byte, error) {
		return []byte("{}"), nil
	}})
	if err != nil || string(answer) != `"well"` {
		t.Errorf("got %q, %v", answer, err)
	}
	<-heard
}

func request(method, path string, length int64) string {
	return fmt.Sprintf("%s /2018-06-01/runtime/%s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", method, path, length)
}

// endless is a request whose header does not end.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	n := copy(p, "GET / HTTP/1.1\r\nX-A: ")
	for i := n; i < len(p); i++ {
		p[i] = 'a'
	}
	return len(p), nil
}

// An answer that is too large is heard of by its sender, who is still writing.
func TestSenderOfTooMuchHearsSo(t *testing.T) {
	r := newRig(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = r.Serve(ctx, l) }()
	go func() {
		_, _ = r.Invoke(ctx, Invocation{Timeout: time.Minute, Event: func(time.Time) ([]byte, error) {
			return []byte("{}"), nil
		}})
	}()
	base := "http://" + l.Addr().String() + "/2018-06-01/runtime/invocation/"
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+"next", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	req, _ = http.NewRequestWithContext(ctx, http.MethodPost,
		base+resp.Header.Get("Lambda-Runtime-Aws-Request-Id")+"/response", strings.NewReader(strings.Repeat("1", 40<<20)))
	if resp, err = http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("got %s", resp.Status)
	}
}
