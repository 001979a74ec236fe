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

// plan is a Spec after one look at the units.
type plan struct {
	spec Spec
	*pictures.Feed
	parts []plannedPart
	// channels of the output's sound, 0 without; most is the greatest number
	// that the source has.
	channels, most int
}

// plannedPart is a range and its first frame in the output.
type plannedPart struct {
	Part
	begin int64
}

func newPlan(s Spec) (*plan, error) {
	if len(s.Parts) == 0 {
		return nil, errors.New("nothing to encode: no range of frames was given")
	}
	if !s.Timeline.Rate.Valid() {
		return nil, errors.New("the timeline has no frame rate")
	}
	p := &plan{spec: s, Feed: pictures.NewFeed(s.Timeline.Rate)}
	for i, part := range s.Parts {
		p.parts = append(p.parts, plannedPart{Part: part, begin: p.Frames})
		if err := p.add(part); err != nil {
			return nil, fmt.Errorf("part %d, frames [%d,%d): %w", i+1, part.In.Frame, part.Out.Frame, err)
		}
	}
	if s.AudioTrack > 0 {
		p.channels = stereo
		if s.AudioChannels == Source && p.most > 0 {
			p.channels = p.most
		}
	}
	return p, nil
}

// add reads a part's units once, finds the pictures to feed, and counts the
// channels that the sound of the range has.
func (p *plan) add(part Part) error {
	if part.Out.Frame <= part.In.Frame {
		return errors.New("the range is empty")
	}
	list := pictures.NewList(p.spec.Timeline.Rate)
	for _, file := range part.Units {
		u, err := file.Read()
		if err != nil {
			return err
		}
		list.Add(file, u)
		sound, _ := u.Audio(p.spec.AudioTrack)
		var heard []mpegts.PES
		for _, f := range sound {
			if f.PTS >= part.In.Ticks && f.PTS < part.Out.Ticks {
				heard = append(heard, f)
			}
		}
		p.most = max(p.most, pcm.Channels(heard))
	}
	return p.Append(list, part.In.Frame, part.Out.Frame)
}

// samples is the number of samples before a frame of the output. Both ends of a
// part are rounded on this one axis, so that no error adds up.
func (p *plan) samples(frame int64) int64 {
	return timeline.Timeline{Rate: p.spec.Timeline.Rate}.SampleOfFrame(frame, pcm.Rate)
}
