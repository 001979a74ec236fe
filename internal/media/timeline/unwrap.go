// SPDX-License-Identifier: Apache-2.0

package timeline

// WrapTicks is the modulus of a PTS in MPEG-TS: 33 bits, 26 h 30 min.
const WrapTicks = int64(1) << 33

// Unwrapper turns 33-bit time stamps into ever-growing ticks. Neighbouring
// stamps may go backwards (B-frames): each is placed within half a wrap of the
// one before it.
type Unwrapper struct {
	last    int64
	started bool
}

// NewUnwrapper continues from known unwrapped ticks, for example those of the
// last stored unit, so that a restart does not fall back by a wrap.
func NewUnwrapper(last int64) *Unwrapper { return &Unwrapper{last: last, started: true} }

// Unwrap returns the unwrapped value of a raw stamp. The first stamp of a zero
// Unwrapper is taken as it is.
func (u *Unwrapper) Unwrap(raw int64) int64 {
	raw &= WrapTicks - 1
	if !u.started {
		u.started, u.last = true, raw
		return raw
	}
	u.last = Near(raw, u.last)
	return u.last
}

// Near returns the unwrapped value of a raw stamp that lies closest to ref.
func Near(raw, ref int64) int64 {
	d := (raw - ref) & (WrapTicks - 1)
	if d >= WrapTicks/2 {
		d -= WrapTicks
	}
	return ref + d
}

// Wrap reduces unwrapped ticks to the 33 bits that a unit stores.
func Wrap(ticks int64) int64 { return ticks & (WrapTicks - 1) }
