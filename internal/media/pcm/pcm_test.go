// SPDX-License-Identifier: Apache-2.0

package pcm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRange places blocks by their time stamps: around a range, over its ends,
// with a hole, and without seams where the stamps are rounded.
func TestRange(t *testing.T) {
	block := func(pts int64, v int16) Block { return Block{PTS: pts, Samples: []int16{v, v, v, v, v, v}} }
	s := Sound{Rate: 90, Channels: 2, Blocks: []Block{
		block(-2000, 1), block(1040, 2), block(3980, 3), block(12000, 4),
	}}
	want := []int16{1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 4}
	if d := cmp.Diff(want, s.Range(0, 13)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int16{0, 0}, s.Range(900000, 1)); d != "" {
		t.Error(d)
	}
}

func TestDecodeNothing(t *testing.T) {
	got, err := Decode(t.Context(), nil, 48000, 2)
	if err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}
