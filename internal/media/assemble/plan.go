// SPDX-License-Identifier: Apache-2.0

package assemble

import (
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// slotStart leaves room for decoding time stamps and the clock reference
	// before the first slot; slotGap keeps slots apart.
	slotStart = 10 * timeline.TickRate
	slotGap   = timeline.TickRate
	// maxLostSeconds of a range may be frames that the source lost; more means
	// that the caller left a unit out.
	maxLostSeconds = 1
)

// plan is a Spec after one look at the units.
type plan struct {
	spec          Spec
	parts         []plannedPart
	video         mpegts.Stream
	frames        int64
	missing       int64
	width, height int
	// sampleRate of the source's audio track; 0 without sound.
	sampleRate int
}

// plannedPart is a range and its slot.
type plannedPart struct {
	Part
	// firstUnit and firstPacket are where feeding begins (an entry point),
	// lastUnit and lastPacket the last picture that is needed. Packets count
	// over the unit's video in decoding order.
	firstUnit, firstPacket, lastUnit, lastPacket int
	// shift moves the units' ticks into the slot.
	shift int64
	// from and to (exclusive) bound the wanted frames in the slot, half a
	// frame early, so that a container's jitter does not matter.
	from, to int64
	// toZero moves the slot's ticks to the part's place in the output.
	toZero int64
	// begin is the part's first frame in the output.
	begin int64
}

func newPlan(s Spec) (*plan, error) {
	if len(s.Parts) == 0 {
		return nil, errors.New("nothing to encode: no range of frames was given")
	}
	if !s.Timeline.Rate.Valid() {
		return nil, errors.New("the timeline has no frame rate")
	}
	p := &plan{spec: s}
	cursor := int64(slotStart)
	for i, part := range s.Parts {
		q, end, err := p.planPart(part, cursor)
		if err != nil {
			return nil, fmt.Errorf("part %d, frames [%d,%d): %w", i+1, part.In.Frame, part.Out.Frame, err)
		}
		q.begin = p.frames
		q.toZero = q.shift + part.In.Ticks - timeline.MulDiv(p.frames, timeline.TickRate*s.Timeline.Rate.Den, s.Timeline.Rate.Num)
		p.frames += part.Out.Frame - part.In.Frame
		p.parts = append(p.parts, q)
		cursor = end + slotGap
	}
	return p, nil
}

// planPart reads the part's units once and finds the pictures to feed. It
// returns where its slot ends.
func (p *plan) planPart(part Part, cursor int64) (plannedPart, int64, error) {
	tl := p.spec.Timeline
	q := plannedPart{Part: part, lastUnit: -1}
	if part.Out.Frame <= part.In.Frame {
		return q, 0, errors.New("the range is empty")
	}
	var entry int64
	var found int64
	haveEntry := false
	newest := int64(0)
	for i, file := range part.Units {
		u, err := file.Read()
		if err != nil {
			return q, 0, err
		}
		if err := p.learn(u); err != nil {
			return q, 0, fmt.Errorf("unit %s: %w", file.Path, err)
		}
		for k, pic := range u.Video() {
			f := tl.FrameOfTicks(pic.PTS)
			if f <= part.In.Frame && mpegts.ScanNALs(pic.Data).Entry() {
				q.firstUnit, q.firstPacket, entry, haveEntry = i, k, pic.PTS, true
				newest = pic.PTS
			}
			if f >= part.In.Frame && f < part.Out.Frame {
				q.lastUnit, q.lastPacket = i, k
				found++
			}
			newest = max(newest, pic.PTS)
		}
	}
	if !haveEntry || q.lastUnit < 0 {
		return q, 0, errors.New("the units do not hold the start of the range: give every unit from the one with the mark-in on")
	}
	lost := part.Out.Frame - part.In.Frame - found
	if lost > timeline.MulDiv(maxLostSeconds, tl.Rate.Num, tl.Rate.Den) {
		return q, 0, fmt.Errorf("%d of %d frames are not in the units given: a unit is missing", lost, found+lost)
	}
	p.missing += lost
	half := timeline.TickRate * tl.Rate.Den / tl.Rate.Num / 2
	q.shift = cursor - entry
	q.from, q.to = part.In.Ticks+q.shift-half, part.Out.Ticks+q.shift-half
	return q, newest + q.shift, nil
}

// learn takes what all units must agree on from one of them.
func (p *plan) learn(u mpegts.Unit) error {
	pictures := u.Video()
	if len(pictures) == 0 {
		return errors.New("the unit has no video")
	}
	if p.width == 0 {
		w, h, err := mpegts.PictureSize(pictures[0].Data)
		if err != nil {
			return err
		}
		p.width, p.height = w, h
		for _, s := range u.Streams {
			if s.Video() {
				p.video = s
			}
		}
	}
	if p.spec.AudioTrack == 0 {
		return nil
	}
	sound, ok := u.Audio(p.spec.AudioTrack)
	if !ok {
		return fmt.Errorf("the unit has %d audio tracks, track %d was asked for", u.AudioTracks(), p.spec.AudioTrack)
	}
	if p.sampleRate == 0 && len(sound) > 0 {
		rate, err := mpegts.SampleRate(sound[0].Data)
		if err != nil {
			return err
		}
		p.sampleRate = rate
	}
	return nil
}

// samples is the number of audio samples before a frame of the output. Both
// ends of a part are rounded on this one axis, so that no error adds up.
func (p *plan) samples(frame int64, rate int) int64 {
	return timeline.Timeline{Rate: p.spec.Timeline.Rate}.SampleOfFrame(frame, int64(rate))
}
