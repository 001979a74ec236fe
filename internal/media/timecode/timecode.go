// SPDX-License-Identifier: Apache-2.0

// Package timecode writes and reads SMPTE time codes of frame numbers.
//
// Drop-frame time code exists for 30000/1001 and 60000/1001 only: it leaves
// out 2 (4) labels at the start of every minute that is not a multiple of ten,
// so that the label follows the wall clock.
package timecode

import (
	"fmt"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// Nominal is the number of labels in a second: the rate rounded up.
func Nominal(rate timeline.Rational) int64 { return (rate.Num + rate.Den - 1) / rate.Den }

// DropFrame says whether drop-frame time code is defined for the rate.
func DropFrame(rate timeline.Rational) bool {
	return rate.Den == 1001 && (rate.Num == 30000 || rate.Num == 60000)
}

// Format writes hh:mm:ss:ff, or hh:mm:ss;ff with drop set. drop is ignored
// where the rate has no drop-frame form. The hours wrap at 24.
func Format(frame int64, rate timeline.Rational, drop bool) string {
	fps := Nominal(rate)
	sep := ':'
	if drop && DropFrame(rate) {
		sep = ';'
		dropped := fps / 15
		perMinute := fps*60 - dropped
		perTen := fps*600 - 9*dropped
		tens, rest := frame/perTen, frame%perTen
		frame += 9 * dropped * tens
		if rest >= dropped {
			frame += dropped * ((rest - dropped) / perMinute)
		}
	}
	s := frame / fps
	return fmt.Sprintf("%02d:%02d:%02d%c%02d", s/3600%24, s/60%60, s%60, sep, frame%fps)
}

// Parse reads what Format writes. A label that drop-frame leaves out is an
// error.
func Parse(label string, rate timeline.Rational) (int64, error) {
	var h, m, s, f int64
	var sep rune
	if _, err := fmt.Sscanf(label, "%d:%d:%d%c%d", &h, &m, &s, &sep, &f); err != nil || (sep != ':' && sep != ';') {
		return 0, fmt.Errorf("time code %q is not hh:mm:ss:ff or hh:mm:ss;ff", label)
	}
	fps := Nominal(rate)
	if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59 || f < 0 || f >= fps {
		return 0, fmt.Errorf("time code %q has a field out of range for %s frames a second", label, rate)
	}
	frame := ((h*60+m)*60+s)*fps + f
	if sep == ':' {
		return frame, nil
	}
	if !DropFrame(rate) {
		return 0, fmt.Errorf("time code %q is drop-frame, which %s frames a second does not have", label, rate)
	}
	dropped := fps / 15
	if m%10 != 0 && s == 0 && f < dropped {
		return 0, fmt.Errorf("time code %q is a label that drop-frame leaves out", label)
	}
	minutes := h*60 + m
	return frame - dropped*(minutes-minutes/10), nil
}
