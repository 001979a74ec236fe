// SPDX-License-Identifier: Apache-2.0

package assemble

import (
	"errors"
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/pcm"
	"github.com/mre-operator/mre-operator/internal/media/pictures"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// startSeconds leave room for decoding time stamps and the clock reference
	// before the first slot; gapSeconds keep slots apart.
	startSeconds = 10
	gapSeconds   = 1
)

// plan is a Spec after one look at the units.
type plan struct {
	spec   Spec
	parts  []plannedPart
	video  mpegts.Stream
	frames int64
	// missing frames are in no unit, frozen ones of them before the first
	// picture that is there.
	missing, frozen int64
	// given frames of the output have a picture of their own.
	given int64
	// shape is that of the first picture; changes says that others differ.
	shape   mpegts.Picture
	changes bool
	// channels of the output's sound, 0 without; loudest is the most that the
	// source has.
	channels, loudest int
}

// plannedPart is a range and its slot.
type plannedPart struct {
	Part
	// fed are the pictures that the decoder gets, in its order, and pts and dts
	// the time stamps that put them on the slot's grid.
	fed      []fedPicture
	pts, dts []int64
	// from and to (exclusive) are the places of the wanted frames on the grid of
	// all slots, and begin is the part's first frame in the output.
	from, to, begin int64
}

// fedPicture is a picture by its unit and its place in the unit's video.
type fedPicture struct {
	unit, packet int
	frame        int64
	// shape is there where decoding can start.
	shape *mpegts.Picture
}

func newPlan(s Spec) (*plan, error) {
	if len(s.Parts) == 0 {
		return nil, errors.New("nothing to encode: no range of frames was given")
	}
	if !s.Timeline.Rate.Valid() {
		return nil, errors.New("the timeline has no frame rate")
	}
	p := &plan{spec: s}
	cursor := p.places(startSeconds)
	for i, part := range s.Parts {
		q, end, err := p.planPart(part, cursor)
		if err != nil {
			return nil, fmt.Errorf("part %d, frames [%d,%d): %w", i+1, part.In.Frame, part.Out.Frame, err)
		}
		q.begin = p.frames
		p.frames += part.Out.Frame - part.In.Frame
		p.parts = append(p.parts, q)
		cursor = end + p.places(gapSeconds)
	}
	if s.AudioTrack > 0 {
		p.channels = stereo
		if s.AudioChannels == Source && p.loudest > 0 {
			p.channels = p.loudest
		}
	}
	return p, nil
}

// places is the number of grid places that take at least the given time, and
// that a decoder can need.
func (p *plan) places(seconds int64) int64 {
	return seconds*p.spec.Timeline.Rate.Num/p.spec.Timeline.Rate.Den + 1 + pictures.Lead
}

// planPart reads the part's units once and finds the pictures to feed. It
// returns where its slot ends.
func (p *plan) planPart(part Part, cursor int64) (plannedPart, int64, error) {
	q := plannedPart{Part: part}
	if part.Out.Frame <= part.In.Frame {
		return q, 0, errors.New("the range is empty")
	}
	var all []fedPicture
	for i, file := range part.Units {
		u, err := file.Read()
		if err != nil {
			return q, 0, err
		}
		for k, pic := range pictures.Of(p.spec.Timeline.Rate, file, u) {
			f := fedPicture{unit: i, packet: k, frame: pic.Frame}
			if mpegts.ScanNALs(pic.Data).Entry() {
				// An entry point with damaged parameters is none.
				if shape, err := mpegts.ReadPicture(pic.Data); err == nil {
					f.shape = &shape
				}
			}
			all = append(all, f)
		}
		p.learn(u, part)
	}
	start, stands := choose(all, part)
	if start < 0 {
		return q, 0, errors.New("the units hold no picture at which decoding can start")
	}
	p.count(all[start:], all[stands].frame, part)
	all[stands].frame = part.In.Frame
	last := stands
	for i, f := range all {
		if i > last && f.frame >= part.In.Frame && f.frame < part.Out.Frame {
			last = i
		}
	}
	q.fed = append(q.fed, all[start:last+1]...)
	p.learnShapes(q.fed)
	return q, p.place(&q, cursor), nil
}

// choose returns where decoding starts, and the picture that stands at the
// range's first frame: where the source lost it, the one before, and without any
// before, the first that there is.
func choose(all []fedPicture, part Part) (start, stands int) {
	start = -1
	for i, f := range all {
		if f.shape != nil && (start < 0 || f.frame <= part.In.Frame) {
			start = i
		}
	}
	stands = start
	for i := start + 1; start >= 0 && i < len(all); i++ {
		f, s := all[i].frame, all[stands].frame
		later := s > part.In.Frame
		if f <= part.In.Frame && (later || f >= s) || later && f < s {
			stands = i
		}
	}
	return start, stands
}

// count says what the range lacks.
func (p *plan) count(fed []fedPicture, stands int64, part Part) {
	there := map[int64]bool{}
	for _, f := range fed {
		if f.frame >= part.In.Frame && f.frame < part.Out.Frame {
			there[f.frame] = true
		}
	}
	p.missing += part.Out.Frame - part.In.Frame - int64(len(there))
	p.given += int64(len(there))
	if !there[part.In.Frame] {
		// The one that stands there.
		p.given++
	}
	p.frozen += max(0, min(stands, part.Out.Frame)-part.In.Frame)
}

// place gives the part its slot on the grid and returns the slot's end.
func (p *plan) place(q *plannedPart, cursor int64) int64 {
	first, last := q.fed[0].frame, q.fed[0].frame
	for _, f := range q.fed {
		first, last = min(first, f.frame), max(last, f.frame)
	}
	places := make([]int64, len(q.fed))
	for i, f := range q.fed {
		places[i] = cursor + f.frame - first
	}
	q.pts, q.dts = pictures.Stamps(p.spec.Timeline.Rate, places)
	q.from = cursor + q.In.Frame - first
	q.to = q.from + q.Out.Frame - q.In.Frame
	return max(cursor+last-first, q.to)
}

// learn takes from a unit which stream its picture is, and how many channels
// the sound of the range has.
func (p *plan) learn(u mpegts.Unit, part Part) {
	for _, s := range u.Streams {
		if s.Video() {
			p.video = s
		}
	}
	sound, _ := u.Audio(p.spec.AudioTrack)
	var heard []mpegts.PES
	for _, f := range sound {
		if f.PTS >= part.In.Ticks && f.PTS < part.Out.Ticks {
			heard = append(heard, f)
		}
	}
	p.loudest = max(p.loudest, pcm.Channels(heard))
}

func (p *plan) learnShapes(fed []fedPicture) {
	for _, f := range fed {
		switch {
		case f.shape == nil:
		case p.shape.Width == 0:
			p.shape = *f.shape
		case f.shape.Width != p.shape.Width || f.shape.Height != p.shape.Height || f.shape.SAR != p.shape.SAR:
			p.changes = true
		}
	}
}

// samples is the number of samples before a frame of the output. Both ends of a
// part are rounded on this one axis, so that no error adds up.
func (p *plan) samples(frame int64) int64 {
	return timeline.Timeline{Rate: p.spec.Timeline.Rate}.SampleOfFrame(frame, pcm.Rate)
}
