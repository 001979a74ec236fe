// SPDX-License-Identifier: Apache-2.0

// Package framer decodes a chunk once and keeps what detectors need of it: its
// signals. Video chunks begin at an IDR frame, and each unit's audio is decoded
// after the last frames of the unit before, so nothing depends on how units are
// grouped.
package framer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/pictures"
	"github.com/mre-operator/mre-operator/internal/media/signals"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// UnitFile is a stored unit on the local disk.
type UnitFile = mpegts.UnitFile

// Frame makes the signals of a chunk from its units, in order. prev is the
// unit before them, whose end warms the audio decoder up; nil where there is
// none.
func Frame(ctx context.Context, units []UnitFile, prev *UnitFile, tl timeline.Timeline) (signals.Signals, error) {
	if len(units) == 0 {
		return signals.Signals{}, errors.New("a chunk without units has no signals")
	}
	s := signals.Signals{Version: signals.Version}
	levels := newMeter(tl)
	if prev != nil {
		u, err := prev.Read()
		if err != nil {
			return signals.Signals{}, err
		}
		levels.remember(u)
	}
	list := pictures.NewList(tl.Rate)
	for _, file := range units {
		u, err := file.Read()
		if err != nil {
			return signals.Signals{}, err
		}
		list.Add(file, u)
		levels.add(u)
	}
	first, end := list.Span()
	if first == end {
		return signals.Signals{}, errors.New("the chunk's units have no video")
	}
	feed := pictures.NewFeed(tl.Rate)
	if err := feed.Append(list, first, end); err != nil {
		return signals.Signals{}, err
	}
	heard := make(chan error, 1)
	go func() { heard <- levels.listen(ctx) }()
	err := decode(ctx, feed, &s)
	if soundErr := <-heard; err == nil {
		err = soundErr
	}
	if err != nil {
		return signals.Signals{}, err
	}
	s.FirstFrame, s.Frames = first, end-first
	s.Tracks = levels.tracks()
	return s, nil
}

// decode runs the one decode of the chunk's video. The deblocking filter is
// left out: it costs a fifth of the decode and does not show on thumbnails.
// FFmpeg gives a picture for every frame: those that are lost, or cannot be
// decoded, are the one before, so they count as unchanged.
func decode(ctx context.Context, feed *pictures.Feed, s *signals.Signals) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := feed.Open()
	defer in.Close()
	pr, pw := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		pw.CloseWithError(ffmpeg.Run(ctx, ffmpeg.Cmd{Tool: "ffmpeg", Stdin: in, Stdout: pw,
			Args: append(feed.Input("-skip_loop_filter", "all"), "-map", "0:v:0",
				"-vf", fmt.Sprintf("scale=%d:%d:flags=area,format=gray,%s,%s", signals.ThumbWidth, signals.ThumbHeight,
					feed.Select(), feed.Fill()),
				"-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1")}))
	}()
	defer func() {
		cancel()
		_ = pr.Close()
		<-done
	}()

	out := bufio.NewReaderSize(pr, 1<<16)
	thumb, last := make([]byte, signals.ThumbWidth*signals.ThumbHeight), []byte(nil)
	for i := range feed.Frames {
		if _, err := io.ReadFull(out, thumb); i == 0 && (errors.Is(err, io.EOF) || errors.Is(err, ffmpeg.ErrCorrupt)) {
			return fmt.Errorf("none of the chunk's %d pictures can be decoded: the units are damaged", feed.Given)
		} else if err != nil {
			return fmt.Errorf("decode the chunk: %w", err)
		}
		if i == 0 {
			s.FirstThumb = append([]byte{}, thumb...)
		} else {
			s.Diffs = append(s.Diffs, signals.Difference(last, thumb))
		}
		s.Luma = append(s.Luma, mean(thumb))
		last = append(last[:0], thumb...)
	}
	s.LastThumb = last
	return nil
}

func mean(b []byte) byte {
	sum := 0
	for _, x := range b {
		sum += int(x)
	}
	return byte(sum / len(b))
}
