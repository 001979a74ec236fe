// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/probe"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// SoundRate is the sample rate of all sound that is encoded here.
	SoundRate = 48000
	// aacSamples is the number of samples of an AAC frame.
	aacSamples = 1024
	// preroll is how many frames before the first that is wanted are encoded
	// with it, so that it is encoded as in one go.
	preroll = 2
	// lostSamples off the end of what is placed is a hole or an overlap (8 ms):
	// less is a container's jitter, unless it stays.
	lostSamples = SoundRate * 8 / 1000
	// driftSamples is how far sound may be off for driftBlocks blocks (2 ms).
	driftSamples = SoundRate * 2 / 1000
	driftBlocks  = 8
	// earlySamples are kept of the sound that comes before the first picture
	// (64 MiB, which is 2:54 of stereo): where the Event starts is not known, but
	// the sound of an hour before is not wanted.
	earlySamples = 16 << 20
)

// track turns the decoded sound of one stream into AAC. The samples are placed
// by their time stamps, with silence where there is none, and are never
// stretched. AAC frames begin at multiples of 1024 samples from the timeline's
// origin, whenever a process started.
type track struct {
	pid      uint16
	plan     probe.Sound
	channels int
	fold     func(in, out []float32)
	inputs   int

	decoded *os.File
	encoder *encoder

	mu     sync.Mutex
	begun  bool
	origin int64
	// first and next are samples from the origin: the first that is encoded, and
	// the one that comes next. end is where the source's own ended.
	first, next, end int64
	// stamp is that of the last block; stamps are unwrapped from one to the next.
	stamp int64
	// aligned says that the last samples that were written are sound of the
	// source, and offs how far the last blocks were off them.
	aligned bool
	offs    []int64
	// stamped is where the last block's stamp put it, usual the length of the
	// first block.
	stamped, usual int64
	// early are blocks from before the origin was known, kept their samples.
	early []block
	kept  int
	// done is closed when all sound of the source has come.
	done chan struct{}
	// ready is closed when the origin is known.
	ready chan struct{}
}

// block is some decoded sound with its time stamp.
type block struct {
	pts     int64
	samples []float32
}

func newTrack(pid uint16, plan probe.Sound, coder *encoder, decoded *os.File) *track {
	t := &track{pid: pid, plan: plan, encoder: coder, decoded: decoded,
		done: make(chan struct{}), ready: make(chan struct{})}
	t.inputs, t.channels, t.fold = foldOf(plan.Audio)
	return t
}

// decodeArgs are FFmpeg's arguments for the decoded sound of the track.
func (t *track) decodeArgs() []string {
	a := t.plan.Audio
	filter := "anull"
	switch {
	case len(a.Select) > 0:
		parts := []string{"pan=" + layoutName(len(a.Select))}
		for i, c := range a.Select {
			parts = append(parts, fmt.Sprintf("c%d=c%d", i, c-1))
		}
		filter = strings.Join(parts, "|")
	case t.inputs == canonical:
		filter = "aformat=channel_layouts=7.1"
	}
	args := []string{"-map", "0:" + strconv.Itoa(a.Index), "-filter:a", filter,
		"-c:a", "pcm_f32le", "-ar", strconv.Itoa(SoundRate)}
	args = append(args, "-output_ts_offset", strconv.Itoa(probe.OffsetTicks/timeline.TickRate))
	return append(args, probe.MuxArgs()...)
}

// begin says where the Event starts, and from which frame on sound is wanted.
func (t *track) begin(origin, from int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun {
		return nil
	}
	sample := timeline.MulDivFloor(from-origin, SoundRate, timeline.TickRate)
	t.begun, t.origin, t.stamp = true, origin, origin
	t.first = (timeline.MulDivFloor(sample, 1, aacSamples) - preroll) * aacSamples
	t.next, t.end = t.first, t.first
	close(t.ready)
	for _, b := range t.early {
		if err := t.place(b); err != nil {
			return err
		}
	}
	t.early = nil
	return nil
}

// read takes the decoded sound from FFmpeg to its end.
func (t *track) read() error {
	defer close(t.done)
	defer t.decoded.Close()
	d := mpegts.NewDemuxer(t.decoded, &timeline.Unwrapper{})
	for {
		p, err := d.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the sound of track %d: %w", t.plan.Track, err)
		}
		if err := t.take(block{p.PTS, t.mix(p.Data)}); err != nil {
			return err
		}
	}
}

func (t *track) take(b block) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun {
		return t.place(b)
	}
	t.early = append(t.early, b)
	for t.kept += len(b.samples); t.kept > earlySamples; t.early = t.early[1:] {
		t.kept -= len(t.early[0].samples)
	}
	return nil
}

// place writes a block of samples where its time stamp says.
func (t *track) place(b block) error {
	n := int64(len(b.samples) / t.channels)
	t.stamp = timeline.Near(timeline.Wrap(b.pts), t.stamp)
	at := t.settle(timeline.MulDiv(t.stamp-t.origin, SoundRate, timeline.TickRate), n)
	if at > t.next {
		if err := t.silence(at); err != nil {
			return err
		}
	}
	if cut := t.next - at; cut > 0 {
		if cut >= n {
			return nil
		}
		b.samples = b.samples[cut*int64(t.channels):]
		n -= cut
	}
	if err := t.write(b.samples); err != nil {
		return err
	}
	t.next += n
	t.end, t.aligned = t.next, true
	return nil
}

// settle says where a block of some samples goes whose stamp says at. Blocks
// follow each other without a seam, as stamps jitter. A stamp that is late is a
// hole, one that is early an overlap, and what stays off for some blocks is the
// clock.
func (t *track) settle(at, samples int64) int64 {
	step, off := at-t.stamped, at-t.next
	t.stamped = at
	if t.usual == 0 {
		t.usual = samples
	}
	if t.aligned && t.reckoned(step, samples) {
		return t.next
	}
	if !t.aligned || off > lostSamples || off < -lostSamples {
		t.offs = t.offs[:0]
		return at
	}
	if t.offs = append(t.offs, off); len(t.offs) < driftBlocks {
		return t.next
	}
	most := slices.Max(t.offs)
	t.offs = append(t.offs[:0], t.offs[1:]...)
	if most <= driftSamples && most >= -driftSamples {
		return t.next
	}
	t.offs = t.offs[:0]
	return t.next + most
}

// reckoned reports whether a block's stamp was made up by FFmpeg, and wrongly.
// Where a container packs several frames under one stamp, it reckons the others
// with the length that frames had when the stream began, although their rate
// may have changed since.
func (t *track) reckoned(step, samples int64) bool {
	const exact = 3
	changed := 8*samples > 9*t.usual || 8*samples < 7*t.usual
	return changed && step >= t.usual-exact && step <= t.usual+exact
}

// pictureAt fills a track that is silent with silence, so that the pictures
// need not wait for it.
func (t *track) pictureAt(ticks int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.begun {
		return nil
	}
	if at := timeline.MulDiv(ticks-audioPatience-t.origin, SoundRate, timeline.TickRate); at > t.next+SoundRate {
		t.aligned = false
		return t.silence(at)
	}
	return nil
}

// finish ends the track with silence up to a time.
func (t *track) finish(ticks int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.encoder.in.Close()
	if !t.begun {
		return nil
	}
	return t.silence(timeline.MulDiv(ticks-t.origin, SoundRate, timeline.TickRate) + (preroll+1)*aacSamples)
}

// endTicks is where the track's sound ends; done has been closed.
func (t *track) endTicks() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.origin + timeline.MulDiv(t.end, timeline.TickRate, SoundRate)
}

func (t *track) silence(until int64) error {
	quiet := make([]float32, aacSamples*t.channels)
	for t.next < until {
		n := min(until-t.next, aacSamples)
		if err := t.write(quiet[:n*int64(t.channels)]); err != nil {
			return err
		}
		t.next += n
	}
	return nil
}

func (t *track) write(samples []float32) error {
	b := make([]byte, 4*len(samples))
	for i, v := range samples {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	if err := t.encoder.write(b); err != nil {
		return fmt.Errorf("encode the sound of track %d: %w", t.plan.Track, err)
	}
	return nil
}

// mix reads a block of samples and brings it to the track's channels.
func (t *track) mix(data []byte) []float32 {
	n := len(data) / (4 * t.inputs)
	in, out := make([]float32, t.inputs), make([]float32, n*t.channels)
	for i := range n {
		for c := range in {
			v := math.Float32frombits(binary.LittleEndian.Uint32(data[4*(i*t.inputs+c):]))
			if v != v || v > 8 || v < -8 {
				v = 0 // a damaged frame
			}
			in[c] = v
		}
		t.fold(in, out[i*t.channels:(i+1)*t.channels])
	}
	return out
}

// encode runs the encoder to its end, and sends its frames.
func (t *track) encode(ctx context.Context, send func(context.Context, mpegts.PES) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer t.encoder.in.Close()
	defer t.encoder.coded.Close()
	args := []string{"-f", "f32le", "-ar", strconv.Itoa(SoundRate), "-ac", strconv.Itoa(t.channels), "-i", "pipe:0"}
	args = append(args, "-c:a", "aac", "-b:a", strconv.Itoa(max(96, 80*t.channels))+"k", "-flags:a", "+bitexact",
		"-f", "adts", "-flush_packets", "1", "pipe:1")
	failed := make(chan error, 1)
	go func() { failed <- t.encoder.run(ctx, args) }()
	err := t.frames(ctx, bufio.NewReader(t.encoder.coded), send)
	cutOff := errors.Is(err, io.ErrUnexpectedEOF)
	if err != nil && !cutOff {
		cancel()
	}
	if died := <-failed; died != nil && (err == nil || cutOff) {
		return fmt.Errorf("encode the sound of track %d: %w", t.plan.Track, died)
	}
	return err
}

// frames reads AAC frames: the k-th holds, with the one before it, the samples
// that begin (k-1)*1024 samples after the first that was written.
func (t *track) frames(ctx context.Context, r io.Reader, send func(context.Context, mpegts.PES) error) error {
	for k := int64(0); ; k++ {
		head := make([]byte, 7)
		if _, err := io.ReadFull(r, head); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the encoded sound: %w", err)
		}
		size := int(head[3]&3)<<11 | int(head[4])<<3 | int(head[5]>>5)
		if head[0] != 0xff || size < len(head) {
			return errors.New("the encoder's sound is not AAC in ADTS form")
		}
		frame := append(head, make([]byte, size-len(head))...)
		if _, err := io.ReadFull(r, frame[len(head):]); err != nil {
			return fmt.Errorf("read the encoded sound: %w", err)
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			return ctx.Err()
		}
		pts := t.origin + timeline.MulDiv(t.first+(k-1)*aacSamples, timeline.TickRate, SoundRate)
		if err := send(ctx, mpegts.PES{PID: t.pid, StreamID: audioStreamID, PTS: pts, DTS: pts, Data: frame}); err != nil {
			return err
		}
	}
}

// audioStreamID is that of MPEG audio. (ISO/IEC 13818-1, table 2-22)
const audioStreamID = 0xc0
