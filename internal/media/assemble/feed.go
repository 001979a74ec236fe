// SPDX-License-Identifier: Apache-2.0

package assemble

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"slices"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/pcm"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
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
		for i := q.firstUnit; i <= q.lastUnit; i++ {
			u, err := q.Units[i].Read()
			if err != nil {
				return err
			}
			for k, pic := range u.Video() {
				if i == q.firstUnit && k < q.firstPacket || i == q.lastUnit && k > q.lastPacket {
					continue
				}
				pic.PID, pic.PTS, pic.DTS = p.video.PID, pic.PTS+q.shift, pic.DTS+q.shift
				if err := m.WritePES(pic); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// audioFeed streams the sound of all parts as s16 stereo at the source's
// sample rate, cut to the sample.
func (p *plan) audioFeed(ctx context.Context) *io.PipeReader {
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(p.writeAudio(ctx, pw)) }()
	return pr
}

// soundMargin of audio around a range is decoded with it: the decoder needs a
// frame to warm up, and the frame that spans the mark-in starts before it.
const soundMargin = timeline.TickRate / 5

// audioBatch parts are decoded at once: a few megabytes of samples.
const audioBatch = 8

func (p *plan) writeAudio(ctx context.Context, w io.Writer) error {
	for batch := range slices.Chunk(p.parts, audioBatch) {
		var runs [][]mpegts.PES
		for _, q := range batch {
			run, err := p.audioOf(q)
			if err != nil {
				return err
			}
			runs = append(runs, run)
		}
		sounds, err := pcm.Decode(ctx, runs, p.sampleRate, 2)
		if err != nil {
			return err
		}
		for i, q := range batch {
			end := q.begin + q.Out.Frame - q.In.Frame
			count := p.samples(end, p.sampleRate) - p.samples(q.begin, p.sampleRate)
			if err := binary.Write(w, binary.LittleEndian, sounds[i].Range(q.In.Ticks, count)); err != nil {
				return err
			}
		}
	}
	return nil
}

// audioOf collects the audio frames of a part and the few before it.
func (p *plan) audioOf(q plannedPart) ([]mpegts.PES, error) {
	var frames []mpegts.PES
	for _, file := range q.Units {
		u, err := file.Read()
		if err != nil {
			return nil, err
		}
		sound, _ := u.Audio(p.spec.AudioTrack)
		for _, f := range sound {
			if f.PTS > q.In.Ticks-soundMargin && f.PTS < q.Out.Ticks {
				frames = append(frames, f)
			}
		}
	}
	return frames, nil
}
