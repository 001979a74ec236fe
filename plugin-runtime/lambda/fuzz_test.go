// SPDX-License-Identifier: Apache-2.0

package lambda

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever a plugin sends, in whatever order: nothing panics, no invocation gets another one's answer, and each
// ends.
func FuzzRuntimeAPI(f *testing.F) {
	for _, seed := range []string{"NRNRNR", "NNNRRR", "NTNORNR", "IINR", "XXXXNXNR", "HNHNTR", "NENRL", "NBNGR",
		"CNRSNR", "/a/b\nN/2018-06-01/runtime/invocation/x/error\nR"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > 200 {
			return
		}
		synctest.Test(t, func(t *testing.T) { play(t, newRig(t), script) })
	})
}

// play is a plugin that does what the script says, while the agent invokes it again and again.
func play(t *testing.T, r *rig, script string) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for n := 0; ctx.Err() == nil; n++ {
			began := time.Now()
			answer, err := r.Invoke(ctx, Invocation{Timeout: time.Minute,
				Event: func(time.Time) ([]byte, error) { return fmt.Appendf(nil, "%d", n), nil }})
			if want := fmt.Sprintf("%d", n); err == nil && string(answer) != want {
				t.Errorf("invocation %s got the answer %q", want, answer)
			}
			if took := time.Since(began); took > 361*time.Second {
				t.Errorf("invocation %d took %s", n, took)
			}
		}
	}()
	defer func() {
		cancel()
		<-ended
		synctest.Wait()
	}()

	var taken []got // the newest last
	id := func(back int) string {
		if back >= len(taken) {
			return "none"
		}
		return taken[len(taken)-1-back].id
	}
	event := func(back int) string {
		if back >= len(taken) {
			return `"none"`
		}
		return taken[len(taken)-1-back].event
	}
	for i := 0; i < len(script); i++ {
		synctest.Wait()
		switch op := script[i]; op {
		case 'N':
			short, stop := context.WithTimeout(ctx, time.Second)
			if g := r.next(short); g.status == http.StatusOK && g.id != "" {
				taken = append(taken, g)
			}
			stop()
		case 'P': // asks and goes away later
			short, stop := context.WithTimeout(ctx, 10*time.Second)
			go func() { r.next(short); stop() }()
		case 'R':
			r.respond(id(0), event(0))
		case 'O':
			r.respond(id(1), event(1))
		case 'B':
			r.respond(id(0), "{")
		case 'G':
			r.respond(id(0), strings.Repeat(" ", MaxAnswer)+"1")
		case 'E':
			r.post("/2018-06-01/runtime/invocation/"+id(0)+"/error", script[i:])
		case 'I':
			r.post("/2018-06-01/runtime/init/error", script[i:])
		case 'X':
			r.exit(Exit{Instance: "a", Sequence: int64(i), Code: 1, Stderr: script})
		case 'Y':
			r.exit(Exit{Instance: "a", Ordered: true})
		case 'H':
			r.call(ctx, http.MethodGet, OrdersPath+"?instance="+fmt.Sprint(i), "")
		case 'L':
			r.call(ctx, http.MethodGet, LivePath+"?instance="+fmt.Sprint(i%3), "")
		case 'T':
			time.Sleep(61 * time.Second)
		case 'S':
			time.Sleep(301 * time.Second)
		case '/':
			path, rest, _ := strings.Cut(script[i:], "\n")
			raw(ctx, r, path, rest)
			i += len(path)
		}
	}
}

// raw sends a path as it is.
func raw(ctx context.Context, r *rig, path, body string) {
	short, stop := context.WithTimeout(ctx, time.Second)
	defer stop()
	for _, method := range []string{http.MethodGet, http.MethodPost, "PRI"} {
		req := &http.Request{Method: method, URL: &url.URL{Path: path}, Header: http.Header{},
			ContentLength: int64(len(body)), Body: http.NoBody}
		if body != "" {
			req.Body = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)).Body
		}
		r.ServeHTTP(httptest.NewRecorder(), req.WithContext(short))
	}
}
