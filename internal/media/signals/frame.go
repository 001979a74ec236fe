// SPDX-License-Identifier: Apache-2.0

package signals

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// UnitFile is a stored unit on the local disk.
type UnitFile = mpegts.UnitFile

// Frame makes the signals of a chunk from its units, in order. prev is the
// unit before them, whose end warms the audio decoder up; nil where there is
// none.
func Frame(ctx context.Context, units []UnitFile, prev *UnitFile, tl timeline.Timeline) (Signals, error) {
	if len(units) == 0 {
		return Signals{}, errors.New("a chunk without units has no signals")
	}
	s := Signals{Version: Version}
	levels := newMeter(tl)
	var frames []int64
	if prev != nil {
		u, err := prev.Read()
		if err != nil {
			return Signals{}, err
		}
		levels.remember(u)
	}
	for _, file := range units {
		u, err := file.Read()
		if err != nil {
			return Signals{}, err
		}
		for _, p := range u.Video() {
			frames = append(frames, tl.FrameOfTicks(p.PTS))
		}
		if err := levels.add(u); err != nil {
			return Signals{}, fmt.Errorf("unit %s: %w", file.Path, err)
		}
	}
	if len(frames) == 0 {
		return Signals{}, errors.New("the chunk's units have no video")
	}
	slices.Sort(frames)
	heard := make(chan error, 1)
	go func() { heard <- levels.listen(ctx) }()
	err := s.decode(ctx, units, frames)
	if soundErr := <-heard; err == nil {
		err = soundErr
	}
	if err != nil {
		return Signals{}, err
	}
	s.Tracks = levels.tracks()
	return s, nil
}

// decode runs the one decode of the chunk's video. The deblocking filter is
// left out: it costs a fifth of the decode and does not show on thumbnails.
func (s *Signals) decode(ctx context.Context, units []UnitFile, frames []int64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := &joined{files: units}
	defer in.Close()
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pw.CloseWithError(ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Stdin: in, Stdout: pw, Args: []string{
			"-threads", "2", "-skip_loop_filter", "all", "-f", "mpegts", "-i", "pipe:0", "-map", "0:v:0",
			"-vf", fmt.Sprintf("scale=%d:%d:flags=area,format=gray", ThumbWidth, ThumbHeight),
			"-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"}}))
	}()
	defer func() {
		cancel()
		_ = pr.Close()
		<-done
	}()

	out := bufio.NewReaderSize(pr, 1<<16)
	thumb, last := make([]byte, ThumbWidth*ThumbHeight), []byte(nil)
	for i := 0; ; i++ {
		if _, err := io.ReadFull(out, thumb); errors.Is(err, io.EOF) {
			if i != len(frames) {
				return fmt.Errorf("the decoder gave %d of %d frames: the chunk is damaged", i, len(frames))
			}
			break
		} else if err != nil {
			return fmt.Errorf("decode the chunk: %w", err)
		}
		if i >= len(frames) {
			return fmt.Errorf("the decoder gave more than %d frames: the chunk is damaged", len(frames))
		}
		if i == 0 {
			s.FirstFrame = frames[0]
			s.FirstThumb = append([]byte{}, thumb...)
		} else {
			// Lost frames count as unchanged.
			for f := frames[i-1] + 1; f < frames[i]; f++ {
				s.Diffs, s.Luma = append(s.Diffs, 0), append(s.Luma, s.Luma[len(s.Luma)-1])
			}
			s.Diffs = append(s.Diffs, difference(last, thumb))
		}
		s.Luma = append(s.Luma, mean(thumb))
		last = append(last[:0], thumb...)
	}
	s.LastThumb = last
	s.Frames = frames[len(frames)-1] + 1 - frames[0]
	return nil
}

func mean(b []byte) byte {
	sum := 0
	for _, x := range b {
		sum += int(x)
	}
	return byte(sum / len(b))
}

// joined reads files one after the other, opening each when it is its turn.
type joined struct {
	files []UnitFile
	open  *os.File
}

// Read implements io.Reader.
func (j *joined) Read(p []byte) (int, error) {
	for {
		if j.open == nil {
			if len(j.files) == 0 {
				return 0, io.EOF
			}
			f, err := os.Open(j.files[0].Path)
			if err != nil {
				return 0, fmt.Errorf("open unit: %w", err)
			}
			j.open, j.files = f, j.files[1:]
		}
		n, err := j.open.Read(p)
		if n > 0 || !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := j.Close(); err != nil {
			return 0, err
		}
	}
}

// Close closes the file that is open.
func (j *joined) Close() error {
	if j.open == nil {
		return nil
	}
	err := j.open.Close()
	j.open = nil
	return err
}
