// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"

	"github.com/mre-operator/mre-operator/plugin-runtime/facade"
	"github.com/mre-operator/mre-operator/plugin-runtime/frames"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// decode makes the pictures that a plugin asks for, as the agent does.
func decode(ctx context.Context, run *invocation.Run, p facade.FrameParams) (facade.FrameFile, error) {
	s, err := frames.Get(ctx, run.Media.Path, frames.Params{Width: p.Width, Format: frames.Format(p.Format), Rate: p.Rate})
	if err != nil {
		return facade.FrameFile{}, err
	}
	return facade.FrameFile{Path: s.Path, Width: s.Width, Height: s.Height, Frames: s.Frames,
		Rate: s.Rate, FirstMicros: run.Chunk().StartMicros}, nil
}
