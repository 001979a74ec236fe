// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fragmentsOf is a file of four seconds in fragments of one.
func fragmentsOf(codec, flags string) film {
	return film{codec: codec, seconds: 4, format: "mp4", file: true, options: "-movflags " + flags}
}

// Forms of fragmented MP4: where a fragment says that its media is.
const (
	absolute = "frag_keyframe+empty_moov+delay_moov"
	relative = absolute + "+default_base_moof"
)

func TestFragmentedMP4StaysAsItIs(t *testing.T) {
	whole := fragmentsOf("h264b", relative).bytes(t)
	hole := fragmentsOf("h264b", relative)
	hole.seconds, hole.picture, hole.sound = 33, "select='lt(t,2)+gte(t,30)'", "aselect='lt(t,2)+gte(t,30)'"
	late := later(whole, 1_600_000_000)
	for name, b := range map[string][]byte{
		"absolute": fragmentsOf("h264b", absolute).bytes(t), "relative": whole, "hole": hole.bytes(t), "late": late,
		"no edit list":          fragmentsOf("h264b", "frag_keyframe+empty_moov").bytes(t),
		"negative offsets":      fragmentsOf("h264b", relative+"+negative_cts_offsets").bytes(t),
		"a fragment a track":    fragmentsOf("h264b", relative+"+separate_moof").bytes(t),
		"a fragment a picture":  fragmentsOf("h264b", "frag_every_frame+empty_moov+default_base_moof").bytes(t),
		"with an index":         fragmentsOf("h264b", "dash+frag_keyframe+global_sidx").bytes(t),
		"CMAF":                  fragmentsOf("h264b", "cmaf+frag_keyframe").bytes(t),
		"samples in the index":  fragmentsOf("h264b", "frag_keyframe").bytes(t),
		"cut off in media":      whole[:len(whole)*2/3],
		"cut off in a fragment": whole[:bytes.LastIndex(whole, []byte("mfhd"))+20],
		"cut off behind one":    whole[:bytes.LastIndex(whole, []byte("moof"))-4],
		"boxes of another kind": slices.Concat(whole, []byte("\x00\x00\x00\x10abcd12345678"),
			whole[bytes.LastIndex(whole, []byte("mfra"))-4:]),
		"media that has no ends":      endless(whole),
		"media of 64 bits' size ":     wide(whole),
		"offsets from track to track": chained(whole),
	} {
		if r := read(t, write(t, "in.mp4", b), Options{}); !bytes.Equal(r.data, b) || len(r.joins) > 0 || r.format != "mov" {
			t.Errorf("%s: %d bytes became %d of %s, joins %v", name, len(b), len(r.data), r.format, r.joins)
		}
	}
}

// endless lets the last media end with the file.
func endless(b []byte) []byte {
	b = bytes.Clone(b[:bytes.LastIndex(b, []byte("mfra"))-4])
	copy(b[bytes.LastIndex(b, []byte("mdat"))-4:], []byte{0, 0, 0, 0})
	return b
}

// chained lets the offset of each second track count from the end of the first
// one's media.
func chained(b []byte) []byte {
	b = bytes.Clone(b)
	for i, f := 0, 0; ; i, f = i+4, f+1 {
		k := bytes.Index(b[i:], []byte("tfhd"))
		if k < 0 {
			return b
		}
		i += k
		b[i+5] &^= 2
		if at := i + bytes.Index(b[i:], []byte("trun")) + 12; f%2 == 1 {
			binary.BigEndian.PutUint32(b[at:], 0)
		}
	}
}

// wide gives the last media a size of 64 bits.
func wide(b []byte) []byte {
	at := bytes.LastIndex(b, []byte("mdat")) - 4
	size := binary.BigEndian.AppendUint64(nil, uint64(binary.BigEndian.Uint32(b[at:]))+8)
	b = bytes.Clone(b)
	for i := bytes.LastIndex(b[:at], []byte("moof")); ; i++ {
		k := bytes.Index(b[i:at], []byte("trun"))
		if k < 0 {
			break
		}
		i += k
		binary.BigEndian.PutUint32(b[i+12:], binary.BigEndian.Uint32(b[i+12:])+8)
	}
	return slices.Concat(b[:at], []byte{0, 0, 0, 1}, []byte("mdat"), size, b[at+8:])
}

func TestJoinsOfFragmentedMP4(t *testing.T) {
	first := fragmentsOf("h264b", relative)
	plain := first.bytes(t)
	cases := []struct {
		name  string
		parts []film
		jumps []int64
	}{
		{"absolute", []film{fragmentsOf("h264", absolute), fragmentsOf("h264", absolute)}, []int64{-4}},
		{"relative", []film{first, first, first}, []int64{-4, -4}},
		{"no edit list", slices.Repeat([]film{fragmentsOf("h264b", "frag_keyframe+empty_moov")}, 2), []int64{-4}},
		{"a fragment a track", slices.Repeat([]film{fragmentsOf("h264b", relative+"+separate_moof")}, 2), []int64{-4}},
		{"a fragment a picture",
			slices.Repeat([]film{fragmentsOf("h264b", "frag_every_frame+empty_moov+default_base_moof")}, 2),
			[]int64{-4}},
		{"with an index", slices.Repeat([]film{fragmentsOf("h264b", "dash+frag_keyframe+global_sidx")}, 2), []int64{-4}},
		{"CMAF", slices.Repeat([]film{fragmentsOf("h264b", "cmaf+frag_keyframe")}, 2), []int64{-4}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := readParts(t, "in.mp4", c.parts)
			apart := int64(85 * 48)
			if c.name == "a fragment a picture" {
				apart = 0 // FFmpeg writes odd times of sound
			}
			checkJoins(t, r, c.jumps, 100*len(c.parts), apart)
		})
	}
	checkJoins(t, read(t, write(t, "in.mp4", later(plain, 500), plain), Options{}), []int64{-504}, 200, 85*48)
	hole := slices.Concat(plain, later(plain, 500))
	r := read(t, write(t, "in.mp4", hole), Options{})
	copy(hole[bytes.LastIndex(hole, []byte("mfra")):], "free") // its places are those of another file
	if !bytes.Equal(r.data, hole) || len(r.joins) > 0 {
		t.Errorf("a hole is changed: joins %v", r.joins)
	}
}

// later moves the fragments of a file by some seconds.
func later(b []byte, seconds uint64) []byte {
	b = bytes.Clone(b)
	scales := map[uint32]uint64{}
	tracks, _ := movie(b[bytes.Index(b, []byte("moov"))+4:])
	for _, t := range tracks {
		scales[t.id] = uint64(t.scale)
	}
	for at := 0; ; at += 4 {
		i := bytes.Index(b[at:], []byte("tfdt"))
		if i < 0 {
			return b
		}
		at += i
		track := binary.BigEndian.Uint32(b[bytes.LastIndex(b[:at], []byte("tfhd"))+8:])
		binary.BigEndian.PutUint64(b[at+8:], binary.BigEndian.Uint64(b[at+8:])+seconds*scales[track])
	}
}

// pieces are the fragments of a file, each with its media, and what is before
// and behind them.
func pieces(b []byte) (head []byte, parts [][]byte, tail []byte) {
	start := 0
	for at := 0; at < len(b); {
		x, _ := boxAt(b[at:])
		switch x.kind {
		case "moof":
			start = at
		case "mdat":
			parts = append(parts, b[start:at+int(x.size)])
		case "mfra":
			tail = b[at:]
		default:
			head = append(head, b[at:at+int(x.size)]...)
		}
		at += int(x.size)
	}
	return head, parts, tail
}

func TestOrderOfFragments(t *testing.T) {
	for _, form := range []string{absolute, relative, relative + "+separate_moof"} {
		head, parts, tail := pieces(fragmentsOf("h264", form).bytes(t))
		n := len(parts) / 4 // a second
		second := func(i int) []byte { return slices.Concat(parts[i*n : (i+1)*n]...) }
		wild := func(by uint64, all bool) []byte {
			b := bytes.Clone(second(1))
			for at := 0; ; at += 4 {
				i := bytes.Index(b[at:], []byte("tfdt"))
				if i < 0 {
					return b
				}
				at += i
				binary.BigEndian.PutUint64(b[at+8:], binary.BigEndian.Uint64(b[at+8:])+by)
				if !all {
					return b
				}
			}
		}
		join := func(c ...[]byte) []byte { return slices.Concat(head, slices.Concat(c...), tail) }
		cases := []struct {
			name  string
			in    []byte
			joins int
		}{
			{"swapped", join(second(0), second(2), second(1), second(3)), 0},
			{"ahead", join(second(0), wild(1200*48000, true), second(2), second(3)), 0},
			{"one track ahead", join(second(0), wild(1200*48000, false), second(2), second(3)), 0},
			{"far beyond", join(second(0), wild(1<<62, true), second(2), second(3)), 0},
			{"the first two at the end", join(second(2), second(3), second(0), second(1)), 1},
		}
		for _, c := range cases {
			r := read(t, write(t, "in.mp4", c.in), Options{})
			if len(r.joins) != c.joins {
				t.Errorf("%s, %s: joins %v", form, c.name, r.joins)
			}
			if d := cmp.Diff(map[int64]int{testPeriod: 99}, gaps(r.decode(t, false))); d != "" {
				t.Errorf("%s, %s: pictures (-want +got):\n%s", form, c.name, d)
			}
		}
	}
}

// TestEndOfPictures: the last picture may stand for long, which a fragment says.
func TestEndOfPictures(t *testing.T) {
	f := fragmentsOf("h264b", relative)
	b := f.bytes(t)
	ended := int64(0)
	s, err := Open(t.Context(), write(t, "in.mp4", b, b), Options{Ended: func(ticks int64) { ended = ticks }})
	if err != nil {
		t.Fatal(err)
	}
	_, in, err := s.Input(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Fatal(err)
	}
	// By decoding times, which an edit list puts two pictures before the first.
	if want := int64(200-2) * testPeriod; ended < want-1 || ended > want+3*testPeriod {
		t.Errorf("the pictures end at %d, want %d", ended, want)
	}
}

// TestOtherMP4: what FFmpeg has to seek in, it opens itself.
func TestOtherMP4(t *testing.T) {
	long := fragmentsOf("h264", "empty_moov+default_base_moof")
	long.seconds, long.options = 12, long.options+" -g 300"
	for name, f := range map[string]film{
		"index at the end": {codec: "h264", seconds: 4, format: "mp4", file: true},
		"index at begin":   fragmentsOf("h264", "faststart"),
		"one fragment":     long,
	} {
		s, err := Open(t.Context(), write(t, "in.mp4", f.bytes(t)), Options{})
		if err != nil || s.Container() != Other {
			t.Errorf("%s: container %d, %v", name, s.Container(), err)
		}
	}
}

// TestDamagedFragments: damage to a fragment is no reason to lose those behind it.
func TestDamagedFragments(t *testing.T) {
	whole := fragmentsOf("h264b", relative).bytes(t)
	head, parts, _ := pieces(whole)
	at := len(head) + len(parts[0])
	value := func(kind string, off int, v uint32) []byte {
		b := bytes.Clone(whole)
		i := at + bytes.Index(b[at:], []byte(kind)) + off
		binary.BigEndian.PutUint32(b[i:], v)
		return b
	}
	cases := []struct {
		name     string
		in       []byte
		pictures int
	}{
		{"zeros between fragments", slices.Concat(whole[:at], make([]byte, 100_000), whole[at:]), 100},
		{"a hole in the media", slices.Concat(whole[:at-2000], whole[at-1800:]), 70},
		{"a hole in a fragment", slices.Concat(whole[:at+100], whole[at+288:]), 74},
		{"no size", value("moof", -4, 0), 74},
		{"a size that is too long", value("moof", -4, 1<<30), 74},
		{"media of another kind", value("mdat", 0, 0), 74},
		{"media before the fragment", value("trun", 12, 0), 74},
		{"media far behind", value("trun", 12, 1<<20), 74},
		{"a sample that is too long", value("trun", 20, 1<<28), 74},
		{"a sample without bytes", value("trun", 20, 0), 74},
		{"too many samples", value("trun", 8, 1<<24), 74},
		{"a picture that waits", value("trun", 24, 1<<25|1024), 99},
		{"no track", value("tfhd", 8, 77), 74},
	}
	for _, c := range cases {
		r := read(t, write(t, "in.mp4", c.in), Options{})
		r.survived(t, c.name, c.pictures)
	}
}
