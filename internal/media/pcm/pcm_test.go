// SPDX-License-Identifier: Apache-2.0

package pcm

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRange places blocks by their time stamps: around a range, over its ends
// and with a hole.
func TestRange(t *testing.T) {
	s := Sound{Rate: 90000, Channels: 2, Blocks: []Block{
		{PTS: 98, Samples: []int16{1, 1, 2, 2, 3, 3}},
		{PTS: 104, Samples: []int16{4, 4, 5, 5, 6, 6}},
		{PTS: 300, Samples: []int16{7, 7}},
	}}
	want := []int16{3, 3, 0, 0, 0, 0, 0, 0, 4, 4, 5, 5}
	if d := cmp.Diff(want, s.Range(100, 6)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int16{0, 0}, s.Range(1000, 1)); d != "" {
		t.Error(d)
	}
}

func TestDecodeNothing(t *testing.T) {
	got, err := Decode(t.Context(), nil, 48000, 2)
	if err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}
