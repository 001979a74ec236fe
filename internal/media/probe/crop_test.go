// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"
	"github.com/google/go-cmp/cmp"
)

func TestCleanAperture(t *testing.T) {
	minus := func(n int32) uint32 { return uint32(-n) }
	for _, c := range []struct {
		name string
		box  *mp4.ClapBox
		want Crop
	}{
		{"none", nil, Crop{}},
		{"in the middle", &mp4.ClapBox{CleanApertureWidthN: 704, CleanApertureWidthD: 1, CleanApertureHeightN: 576,
			CleanApertureHeightD: 1, HorizOffD: 1, VertOffD: 1}, Crop{Left: 8, Right: 8}},
		{"at the top left", &mp4.ClapBox{CleanApertureWidthN: 700, CleanApertureWidthD: 1, CleanApertureHeightN: 560,
			CleanApertureHeightD: 1, HorizOffN: minus(10), HorizOffD: 1,
			VertOffN: minus(16), VertOffD: 2}, Crop{Right: 20, Bottom: 16}},
		{"of fractions", &mp4.ClapBox{CleanApertureWidthN: 7035, CleanApertureWidthD: 10, CleanApertureHeightN: 576,
			CleanApertureHeightD: 1, HorizOffD: 1, VertOffD: 1}, Crop{Left: 8, Right: 9}},
		{"outside of the picture", &mp4.ClapBox{CleanApertureWidthN: 704, CleanApertureWidthD: 1, CleanApertureHeightN: 600,
			CleanApertureHeightD: 1, HorizOffN: 100, HorizOffD: 1, VertOffD: 1}, Crop{}},
		{"damaged", &mp4.ClapBox{CleanApertureWidthN: 704, CleanApertureHeightN: 560, CleanApertureHeightD: 1}, Crop{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			entry := mp4.CreateVisualSampleEntryBox("avc1", 720, 576, nil)
			entry.Clap = c.box
			stsd := &mp4.StsdBox{}
			stsd.AddChild(entry)
			moov := &mp4.MoovBox{Traks: []*mp4.TrakBox{{Mdia: &mp4.MdiaBox{Minf: &mp4.MinfBox{Stbl: &mp4.StblBox{Stsd: stsd}}}}}}
			if diff := cmp.Diff(c.want, cleanAperture(moov, 0, 720, 576)); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := cleanAperture(&mp4.MoovBox{Traks: []*mp4.TrakBox{{}}}, 0, 720, 576); got != (Crop{}) {
		t.Errorf("an index without descriptions crops %v", got)
	}
}

func TestObeyedCrop(t *testing.T) {
	for _, c := range []struct {
		name string
		crop Crop
		want Video
	}{
		{"none", Crop{}, Video{Width: 720, Height: 576}},
		{"even", Crop{8, 2, 8, 4}, Video{Width: 704, Height: 570, Crop: Crop{8, 2, 8, 4}}},
		{"odd begins", Crop{7, 3, 9, 5}, Video{Width: 704, Height: 568, Crop: Crop{6, 2, 10, 6}}},
		{"odd sides", Crop{0, 0, 9, 0}, Video{Width: 710, Height: 576, Crop: Crop{Right: 10}}},
		{"nothing left", Crop{400, 0, 320, 0}, Video{Width: 720, Height: 576}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := Video{Width: 720, Height: 576}
			v.obey(c.crop)
			if diff := cmp.Diff(c.want, v, cmp.AllowUnexported(Video{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTurnedCrop(t *testing.T) {
	c := Crop{Left: 1, Top: 2, Right: 3, Bottom: 4}
	for degrees, want := range map[int]Crop{
		0:   c,
		90:  {Left: 2, Top: 3, Right: 4, Bottom: 1},
		180: {Left: 3, Top: 4, Right: 1, Bottom: 2},
		270: {Left: 4, Top: 1, Right: 2, Bottom: 3},
	} {
		if got := c.Turned(degrees); got != want {
			t.Errorf("turned by %d: %v instead of %v", degrees, got, want)
		}
	}
}
