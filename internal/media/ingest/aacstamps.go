// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"github.com/mre-operator/mre-operator/internal/media/mpegts"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// aacStamps mends the stamps of copied AAC after its sample rate has changed.
// FFmpeg reckons the stamps of frames that share one with the rate that the
// stream began with, so that all but the first come too early, or too late.
type aacStamps struct {
	// usual is the length of the first frame, next the end of the last one, and
	// stamp what its stamp was, all in ticks.
	usual, next, stamp int64
}

// reckonTicks is how exactly such a stamp follows the one before it.
const reckonTicks = 4

// mend moves a frame whose stamp was reckoned with another frame's length to the
// end of the frame before it.
func (a aacStamps) mend(frame *mpegts.PES) aacStamps {
	h, err := mpegts.ReadADTS(frame.Data)
	if err != nil {
		return a
	}
	length := timeline.MulDiv(aacSamples, timeline.TickRate, int64(h.SampleRate))
	if a.usual == 0 {
		a.usual = length
	}
	step := frame.PTS - a.stamp
	a.stamp = frame.PTS
	if length != a.usual && step >= a.usual-reckonTicks && step <= a.usual+reckonTicks {
		frame.PTS, frame.DTS = a.next, a.next
	}
	a.next = frame.PTS + length
	return a
}
