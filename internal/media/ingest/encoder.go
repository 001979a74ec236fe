// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"cmp"
	"context"
	"os"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// encoder is an FFmpeg that encodes what is written to it.
type encoder struct {
	// in is written to; stdin is the program's end of it.
	in, stdin *os.File
	// coded is what comes out; stdout is the program's end of it.
	coded, stdout *os.File
	// over is closed when the program has ended; failed is its error.
	over   chan struct{}
	failed error
}

func (p *pipeline) newEncoder() (*encoder, error) {
	e := &encoder{over: make(chan struct{})}
	var err error
	if e.stdin, e.in, err = p.pipe(); err != nil {
		return nil, err
	}
	e.coded, e.stdout, err = p.pipe()
	return e, err
}

// run runs the program to its end.
func (e *encoder) run(ctx context.Context, args []string) error {
	defer close(e.over)
	e.failed = ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Args: args, Stdin: e.stdin, Stdout: e.stdout})
	return e.failed
}

// write feeds the program. Where that has died, how is the better error: one
// that was killed says nothing of the source.
func (e *encoder) write(b []byte) error {
	_, err := e.in.Write(b)
	if err == nil {
		return nil
	}
	<-e.over
	return cmp.Or(e.failed, err)
}
