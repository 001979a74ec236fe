// SPDX-License-Identifier: Apache-2.0

package assemble

import (
	"context"
	"encoding/binary"
	"io"
	"math"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/pcm"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// soundMargin of sound before a range is decoded with it: the warm-up, and
	// the longest frame that spans the mark-in (of 8 kHz).
	soundMargin = 2 * pcm.WarmUp
	// soundWindow is how many samples are held in memory at once (30 s), and
	// soundBatch how many stretches of a part are decoded together.
	soundWindow = 30 * pcm.Rate
	soundBatch  = 16
	// unitSlack is how far sound may lie outside its unit's pictures.
	unitSlack = timeline.TickRate
	// driftSamples is how far a clip's sound may end from its picture before it
	// is stretched (1 ms). Less is a container's rounding of two time stamps, and
	// is halved by centring.
	driftSamples = pcm.Rate / 1000
	// seamSamples is how far two neighbouring stretches may be placed apart and
	// still be joined without a seam.
	seamSamples = 2
)

// soundFeed streams the sound of all parts as float samples, cut to the sample.
// The reader must be closed, which ends the writer.
func (p *plan) soundFeed(ctx context.Context) *io.PipeReader {
	pr, pw := io.Pipe()
	go func() { pw.CloseWithError(p.writeSound(ctx, pw)) }()
	return pr
}

// stretch is a piece of a part's sound: count samples from the n-th of the part
// on, as the source's clock counts them.
type stretch struct {
	part     *soundPart
	n, count int64
}

// soundPart is a part on its way to the output.
type soundPart struct {
	plannedPart
	// from is where the part's sound begins, in ticks.
	from int64
	// stretcher fits it to the pictures' rate; nil where it fits.
	stretcher *pcm.Stretcher
	// seam is the last block of the stretch before, where it was placed.
	seam *pcm.Placed
}

func (p *plan) writeSound(ctx context.Context, w io.Writer) error {
	out := &mixer{w: w, channels: p.channels}
	if p.most > p.channels {
		out.limiter = pcm.NewLimiter(p.channels)
	}
	var batch []stretch
	waiting := int64(0)
	flush := func() error {
		err := p.writeStretches(ctx, batch, out)
		batch, waiting = batch[:0], 0
		return err
	}
	for _, q := range p.parts {
		part, count := p.soundOf(q)
		for n := int64(0); n < count; {
			s := stretch{part: part, n: n, count: min(count-n, soundWindow-waiting)}
			n, waiting = n+s.count, waiting+s.count
			batch = append(batch, s)
			if len(batch) == soundBatch || waiting == soundWindow {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return out.close()
}

// soundOf says which samples of the source are a part's sound. A part lasts as
// long as its pictures do at the nominal rate; where the source's clock differs,
// its sound is fitted.
func (p *plan) soundOf(q plannedPart) (*soundPart, int64) {
	want := p.samples(q.begin+q.Out.Frame-q.In.Frame) - p.samples(q.begin)
	have := timeline.MulDiv(q.Out.Ticks-q.In.Ticks, pcm.Rate, timeline.TickRate)
	part := &soundPart{plannedPart: q, from: q.In.Ticks}
	if d := have - want; d <= driftSamples && d >= -driftSamples {
		part.from += d / 2 * timeline.TickRate / pcm.Rate
		return part, want
	}
	part.stretcher = pcm.NewStretcher(p.channels, have, want)
	return part, have
}

func (p *plan) writeStretches(ctx context.Context, batch []stretch, out *mixer) error {
	var runs [][]mpegts.PES
	for _, s := range batch {
		run, err := p.audioOf(s)
		if err != nil {
			return err
		}
		runs = append(runs, run)
	}
	sounds, err := pcm.Decode(ctx, runs)
	if err != nil {
		return err
	}
	for i, s := range batch {
		samples := pcm.Cut(s.place(sounds[i]), s.n, s.count, p.channels)
		if s.part.stretcher != nil {
			samples = s.part.stretcher.Write(samples)
		}
		if err := out.write(samples); err != nil {
			return err
		}
	}
	return nil
}

// audioOf collects the audio frames of a stretch and the few before it.
func (p *plan) audioOf(s stretch) ([]mpegts.PES, error) {
	begin := s.part.from + timeline.MulDiv(s.n, timeline.TickRate, pcm.Rate)
	end := s.part.from + timeline.MulDiv(s.n+s.count, timeline.TickRate, pcm.Rate)
	var frames []mpegts.PES
	units := s.part.Units
	for i, file := range units {
		if file.FirstTicks > end+unitSlack || i+1 < len(units) && units[i+1].FirstTicks < begin-soundMargin-unitSlack {
			continue
		}
		u, err := file.Read()
		if err != nil {
			return nil, err
		}
		sound, _ := u.Audio(p.spec.AudioTrack)
		for _, f := range sound {
			// Units of two runs of ingest may both have a frame.
			again := len(frames) > 0 && f.PTS <= frames[len(frames)-1].PTS
			if f.PTS > begin-soundMargin && f.PTS <= end && !again {
				frames = append(frames, f)
			}
		}
	}
	return frames, nil
}

// place puts decoded sound on the part's axis. Where it goes on from the stretch
// before, it is joined to it: time stamps are averaged over each by itself, which
// may differ by a sample.
func (s stretch) place(sound pcm.Sound) []pcm.Placed {
	placed := sound.Place(s.part.from)
	if len(placed) == 0 {
		s.part.seam = nil
		return nil
	}
	if before := s.part.seam; before != nil {
		nearest := placed[0]
		for _, b := range placed {
			if distance(b.PTS, before.PTS) < distance(nearest.PTS, before.PTS) {
				nearest = b
			}
		}
		off := before.At + timeline.MulDiv(nearest.PTS-before.PTS, pcm.Rate, timeline.TickRate) - nearest.At
		if off <= seamSamples && off >= -seamSamples {
			for i := range placed {
				placed[i].At += off
			}
		}
	}
	for i, b := range placed {
		if b.At < s.n+s.count {
			s.part.seam = &placed[i]
		}
	}
	return placed
}

func distance(a, b int64) int64 { return max(a-b, b-a) }

// mixer writes samples, through a limiter where several channels became one.
type mixer struct {
	w        io.Writer
	channels int
	limiter  *pcm.Limiter
}

func (m *mixer) write(samples []float32) error {
	if m.limiter != nil {
		samples = m.limiter.Write(samples)
	}
	return m.put(samples)
}

func (m *mixer) close() error {
	if m.limiter == nil {
		return nil
	}
	return m.put(m.limiter.Close())
}

func (m *mixer) put(samples []float32) error {
	b := make([]byte, 4*len(samples))
	for i, x := range samples {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(x))
	}
	_, err := m.w.Write(b)
	return err
}
