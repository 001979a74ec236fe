// SPDX-License-Identifier: Apache-2.0

package ingest

import "github.com/mre-operator/mre-operator/internal/media/probe"

// canonical is the number of channels to which FFmpeg brings every layout:
// 7.1, in the order FL FR FC LFE BL BR SL SR. No usual layout loses anything,
// so that a stream may change between them.
const canonical = 8

// half is -3 dB.
const half = 0.70710678

// foldOf says how many channels of a track FFmpeg delivers, how many are
// stored, and how the one become the other. Mono and stereo stay, more become
// 5.1 or 7.1: AAC can name these without a program config element.
func foldOf(a probe.Audio) (inputs, channels int, fold func(in, out []float32)) {
	same := func(in, out []float32) { copy(out, in) }
	channels = a.Stored()
	switch {
	case len(a.Select) > 0 || channels == 1 || channels == canonical:
		return channels, channels, same
	case channels == 2:
		return canonical, channels, foldStereo
	}
	return canonical, channels, foldSurround
}

// foldStereo is for a stereo track that becomes something else: Lo/Ro of
// ITU-R BS.775 without the LFE, and mono at its own level.
func foldStereo(in, out []float32) {
	fl, fr, fc := in[0], in[1], in[2]
	if fl == 0 && fr == 0 && in[4] == 0 && in[5] == 0 && in[6] == 0 && in[7] == 0 {
		out[0], out[1] = fc, fc
		return
	}
	out[0] = fl + half*(fc+in[4]+in[6])
	out[1] = fr + half*(fc+in[5]+in[7])
}

// foldSurround stores 5.1, wherever the surrounds are.
func foldSurround(in, out []float32) {
	copy(out, in[:4])
	out[4], out[5] = in[4]+in[6], in[5]+in[7]
}

// layoutName is FFmpeg's name of a number of channels that AAC can name.
func layoutName(channels int) string {
	return map[int]string{1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}[channels]
}
