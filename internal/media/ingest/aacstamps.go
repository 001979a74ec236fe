// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// packTicks is how long the frames are together that a container packs under
// one stamp (a quarter of a second, at most).
const packTicks = timeline.TickRate / 4

// aacStamps mends the stamps of copied AAC after its sample rate has changed.
// FFmpeg reckons the stamps of frames that share one with the rate that the
// stream began with, so that all but the first come too early (or too late).
type aacStamps struct {
	// rate is that of the first frame, next the end of the last one.
	rate int
	next int64
}

// mend moves a frame that seems to begin before the end of the one before it,
// where the rate is not the first one, to that end.
func (a aacStamps) mend(frame *mpegts.PES) aacStamps {
	h, err := mpegts.ReadADTS(frame.Data)
	if err != nil {
		return a
	}
	if a.rate == 0 {
		a.rate = h.SampleRate
	}
	if early := a.next - frame.PTS; h.SampleRate != a.rate && early > 0 && early < packTicks {
		frame.PTS, frame.DTS = a.next, a.next
	}
	a.next = frame.PTS + timeline.MulDiv(aacSamples, timeline.TickRate, int64(h.SampleRate))
	return a
}
