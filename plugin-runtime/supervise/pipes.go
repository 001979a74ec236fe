// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"io"
	"os"
	"time"

	"github.com/mre-operator/mre-operator/plugin-runtime/lambda"
)

// feedPipe writes an event to a command, as fast as it reads.
type feedPipe struct{ child, ours *os.File }

func give(event []byte) (*feedPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		// A command need not read what it is given.
		_, _ = w.Write(event)
		_ = w.Close()
	}()
	return &feedPipe{r, w}, nil
}

func (p *feedPipe) started() { _ = p.child.Close() }

func (p *feedPipe) end() { _ = p.ours.Close() }

// answerPipe reads a command's standard output, up to what an answer may have.
type answerPipe struct {
	child, ours *os.File
	// full is closed when there was more.
	full, done chan struct{}
	read       []byte
}

func take() (*answerPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &answerPipe{child: w, ours: r, full: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.read, _ = io.ReadAll(io.LimitReader(r, lambda.MaxAnswer+1))
		if len(p.read) > lambda.MaxAnswer {
			close(p.full)
		}
	}()
	return p, nil
}

func (p *answerPipe) started() { _ = p.child.Close() }

// end waits for the last bytes and returns all.
func (p *answerPipe) end() []byte {
	t := time.NewTimer(drain)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
	}
	// What still reads ends with the pipe.
	_ = p.ours.Close()
	<-p.done
	return p.read
}
