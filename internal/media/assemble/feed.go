// SPDX-License-Identifier: Apache-2.0

package assemble

import (
	"bufio"
	"io"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
)

// videoFeed streams the needed pictures of all parts, each in its slot. The
// reader must be closed, which ends the writer.
func (p *plan) videoFeed() *io.PipeReader {
	pr, pw := io.Pipe()
	go func() {
		out := bufio.NewWriterSize(pw, 1<<16)
		err := p.writeVideo(out)
		if err == nil {
			err = out.Flush()
		}
		pw.CloseWithError(err)
	}()
	return pr
}

func (p *plan) writeVideo(w io.Writer) error {
	m, err := mpegts.NewMuxer(w, []mpegts.Stream{p.video})
	if err != nil {
		return err
	}
	if err := m.WriteTables(); err != nil {
		return err
	}
	for _, q := range p.parts {
		var video []mpegts.PES
		for i, f := range q.fed {
			if i == 0 || f.unit != q.fed[i-1].unit {
				u, err := q.Units[f.unit].Read()
				if err != nil {
					return err
				}
				video = u.Video()
			}
			pic := video[f.packet]
			pic.PID, pic.PTS, pic.DTS = p.video.PID, q.pts[i], q.dts[i]
			if err := m.WritePES(pic); err != nil {
				return err
			}
		}
	}
	return nil
}
