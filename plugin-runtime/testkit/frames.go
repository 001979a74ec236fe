// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/plugin-runtime/facade"
	"github.com/mre-operator/mre-operator/plugin-runtime/invocation"
)

// decoder decodes each chunk once for each set of parameters.
type decoder struct {
	dir string

	mu   sync.Mutex
	done map[string]facade.FrameFile
}

func (d *decoder) frames(ctx context.Context, run *invocation.Run, p facade.FrameParams) (facade.FrameFile, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := run.Timeline()
	key := fmt.Sprintf("%s-%d-%s-%d-%d", run.Media.Name, p.Width, p.Format, p.Rate.Num, p.Rate.Den)
	if f, ok := d.done[key]; ok {
		return f, nil
	}
	f := facade.FrameFile{
		Path: filepath.Join(d.dir, key), Width: p.Width,
		Height: int(max(timeline.MulDiv(int64(p.Width), int64(t.Height), int64(t.Width)), 1)),
		Rate:   p.Rate, FirstMicros: run.Chunk().StartMicros,
	}
	filter := fmt.Sprintf("setpts=PTS-STARTPTS,fps=%s,scale=%d:%d,format=%s", p.Rate, f.Width, f.Height, p.Format)
	args := append(ffmpeg.Input(run.Media.Path), "-map", "0:v:0", "-vf", filter, "-f", "rawvideo", "-y", f.Path)
	if err := ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Args: args}); err != nil {
		return f, fmt.Errorf("decode the frames of %s: %w", run.Media.Name, err)
	}
	info, err := os.Stat(f.Path)
	if err != nil {
		return f, err
	}
	size := int64(f.Width) * int64(f.Height)
	if p.Format == "rgb24" {
		size *= 3
	}
	f.Frames = info.Size() / size
	d.done[key] = f
	return f, nil
}
