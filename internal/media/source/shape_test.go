// SPDX-License-Identifier: Apache-2.0

package source

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// ebml is an element, by its ID, of numbers or other elements.
func ebml(id []byte, body ...byte) []byte {
	return slices.Concat(id, []byte{0x40 | byte(len(body)>>8), byte(len(body))}, body)
}

func TestShapes(t *testing.T) {
	number := func(id []byte, v byte) []byte { return ebml(id, v) }
	video := ebml([]byte{0xe0}, slices.Concat(number([]byte{0x54, 0xaa}, 20), number([]byte{0x54, 0xbb}, 4),
		number([]byte{0x54, 0xcc}, 2), number([]byte{0x54, 0xdd}, 16), number([]byte{0x54, 0xb0}, 16),
		number([]byte{0x54, 0xba}, 9))...)
	unknown := ebml([]byte{0xe0}, slices.Concat(number([]byte{0x54, 0xb0}, 16), number([]byte{0x54, 0xba}, 9),
		number([]byte{0x54, 0xb2}, 4))...)
	track := func(kind byte, body []byte) []byte {
		return ebml([]byte{0xae}, slices.Concat(number([]byte{0x83}, kind), body)...)
	}
	tracks := ebml([]byte{0x16, 0x54, 0xae, 0x6b},
		slices.Concat(track(2, nil), track(0x10, nil), track(1, video), track(1, unknown))...)
	segment := slices.Concat([]byte{0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, tracks)
	head := slices.Concat(ebml(ebmlMagic), segment)

	// A track that FFmpeg makes no stream of is not counted.
	want := []Shape{{}, {Left: 2, Top: 4, Right: 16, Bottom: 20, DisplayWidth: 16, DisplayHeight: 9}, {}}
	if d := cmp.Diff(want, shapesOf(head)); d != "" {
		t.Error(d)
	}
	for n := range head {
		if got := shapesOf(head[:n]); got != nil {
			t.Fatalf("%d of %d bytes have shapes: %v", n, len(head), got)
		}
	}
	s := Source{shapes: want}
	if s.Shape(1) != want[1] || s.Shape(-1) != (Shape{}) || s.Shape(3) != (Shape{}) {
		t.Error("streams have the shapes of others")
	}
}
