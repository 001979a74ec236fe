// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// clusters are Clusters of unknown size with a picture each, at times in ms.
func clusters(times ...uint64) []byte {
	var out []byte
	for _, at := range times {
		out = append(binary.BigEndian.AppendUint32(out, idCluster), 0xff)
		out = append(out, putUint(idTimestamp, at, widthOf(at))...)
		out = append(out, idSimpleBlock, 0x85, 0x81, 0, 0, 0x80, 0xaa)
	}
	return out
}

// split takes a Matroska file apart: what is before the Clusters, the Clusters
// one by one, and what is behind them.
func split(t *testing.T, b []byte) (head []byte, parts [][]byte, tail []byte) {
	t.Helper()
	for at := 0; at < len(b); {
		e, ok := elementAt(b[at:])
		if !ok {
			t.Fatalf("no element at %d", at)
		}
		next := at + int(e.whole())
		switch {
		case e.id == idSegment:
			next = at + e.header
			head = append(head, b[at:next]...)
		case e.id == idCluster:
			parts = append(parts, b[at:next])
		case len(parts) == 0:
			head = append(head, b[at:next]...)
		default:
			tail = append(tail, b[at:next]...)
		}
		at = next
	}
	return head, parts, tail
}

// mkv is a file of four seconds in Clusters of one.
func mkv(codec string, start int) film {
	return film{codec: codec, seconds: 4, start: start, format: "matroska", file: true}
}

// stream is the same as it is sent: without sizes and an index.
func stream(codec string, start int) film {
	return film{codec: codec, seconds: 4, start: start, format: "matroska", options: "-live 1"}
}

func TestMatroskaStaysAsItIs(t *testing.T) {
	without := func(from, to string) (string, string) {
		e := "'lt(t," + from + ")+gte(t," + to + ")'"
		return "select=" + e, "aselect=" + e
	}
	hv, ha := without("2", "30")
	hole := film{codec: "h264b", seconds: 33, picture: hv, sound: ha, format: "matroska", file: true}
	silent := hole
	silent.sound = ""
	whole := mkv("h264b", 0).bytes(t)
	for name, b := range map[string][]byte{
		"file": whole, "stream": stream("h264b", 0).bytes(t),
		"WebM": film{codec: "vp9", seconds: 4, format: "webm", file: true}.bytes(t),
		"late": mkv("h264b", 5000).bytes(t), "hole": hole.bytes(t), "hole in the picture": silent.bytes(t),
		"cut off": whole[:len(whole)*2/3], "one picture in a Cluster": film{codec: "h264b", seconds: 4, format: "matroska",
			file: true, options: "-cluster_time_limit 1"}.bytes(t),
		"AC-3": mkv("ac3", 0).bytes(t),
	} {
		if r := read(t, write(t, "in.mkv", b), Options{}); !bytes.Equal(r.data, b) || len(r.joins) > 0 {
			t.Errorf("%s: %d bytes became %d, joins %v", name, len(b), len(r.data), r.joins)
		}
	}
}

func TestJoinsOfMatroska(t *testing.T) {
	cases := []struct {
		name  string
		parts []film
		jumps []int64
	}{
		{"twice", []film{mkv("h264", 0), mkv("h264", 0)}, []int64{-4}},
		{"thrice", []film{mkv("h264b", 0), mkv("h264b", 0), mkv("h264b", 0)}, []int64{-4, -4}},
		{"streams", []film{stream("h264b", 0), stream("h264b", 0)}, []int64{-4}},
		{"a stream and a file", []film{stream("h264b", 0), mkv("h264b", 0)}, []int64{-4}},
		{"a file and a stream", []film{mkv("h264b", 0), stream("h264b", 0)}, []int64{-4}},
		{"back", []film{mkv("h264b", 500), mkv("h264b", 20)}, []int64{-484}},
		{"far back", []film{mkv("h264b", 200000), mkv("h264b", 0)}, []int64{-200004}},
		{"goes on", []film{mkv("h264", 20), mkv("h264", 24)}, nil},
		{"WebM", []film{{codec: "vp9", seconds: 4, format: "webm", file: true},
			{codec: "vp9", seconds: 4, format: "webm", file: true}},
			[]int64{-4}},
		{"MPEG-2 and AC-3", []film{mkv("ac3", 0), mkv("ac3", 0)}, []int64{-4}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := readParts(t, "in.mkv", c.parts)
			checkJoins(t, r, c.jumps, 100*len(c.parts), 60)
		})
	}
}

// checkJoins: there are the joins that are wanted, pictures without a hole, and
// sound whose packets are no further apart than some of its clock's ticks, 0
// for any.
func checkJoins(t *testing.T, r reading, jumps []int64, pictures int, apart int64) {
	t.Helper()
	r.jumped(t, jumps)
	shown := r.decode(t, false)
	if d := cmp.Diff(map[int64]int{testPeriod: pictures - 1}, gaps(shown)); d != "" {
		t.Errorf("pictures shown (-want +got):\n%s", d)
	}
	for _, j := range r.joins {
		if !slices.Contains(shown, j.Ticks) {
			t.Errorf("no picture is shown at %d, where a join is reported", j.Ticks)
		}
	}
	sounds := times(r.packets(t)["audio"])
	for i := 1; i < len(sounds); i++ {
		if step := sounds[i] - sounds[i-1]; apart > 0 && (step <= 0 || step > apart) {
			t.Errorf("sound packet %d comes %d ticks after the one before", i, step)
		}
	}
}

// TestOrderOfClusters: a Cluster with a time that nothing goes on from follows
// what came, and what is behind it keeps its time.
func TestOrderOfClusters(t *testing.T) {
	whole := mkv("h264", 20).bytes(t)
	head, parts, tail := split(t, whole)
	if len(parts) < 4 {
		t.Fatalf("%d Clusters", len(parts))
	}
	wild := func(at uint64) []byte {
		h, _ := headOf(parts[1])
		b, _ := h.retimed(at)
		return slices.Concat(b, parts[1][len(h.raw):])
	}
	join := func(c ...[]byte) []byte { return slices.Concat(head, slices.Concat(c...), tail) }
	cases := []struct {
		name  string
		in    []byte
		jumps []int64
	}{
		{"swapped", join(parts[0], parts[2], parts[1], parts[3]), nil},
		{"ahead", join(parts[0], wild(1_220_000), parts[2], parts[3]), nil},
		{"back", join(parts[0], wild(1_000), parts[2], parts[3]), nil},
		{"beyond all bounds", join(parts[0], wild(1<<63), parts[2], parts[3]), nil},
		{"the first two at the end", join(parts[2], parts[3], parts[0], parts[1]), []int64{-4}},
	}
	for _, c := range cases {
		r := read(t, write(t, "in.mkv", c.in), Options{})
		if len(r.joins) != len(c.jumps) {
			t.Errorf("%s: joins %v", c.name, r.joins)
		}
		if d := cmp.Diff(map[int64]int{testPeriod: 99}, gaps(r.decode(t, false))); d != "" {
			t.Errorf("%s: pictures (-want +got):\n%s", c.name, d)
		}
	}
	if at := times(read(t, write(t, "in.mkv", cases[1].in), Options{}).packets(t)["video"]); at[len(at)-1]-at[0] != 99*40 {
		t.Errorf("the last picture is %d ms behind the first", at[len(at)-1]-at[0])
	}
}

// TestOtherScale: a second file that counts in other units.
func TestOtherScale(t *testing.T) {
	one := mkv("h264", 0).bytes(t)
	two := bytes.Clone(one)
	// Half the unit, and so half the time.
	at := bytes.Index(two, []byte{0x2a, 0xd7, 0xb1, 0x83})
	copy(two[at+4:], []byte{0x07, 0xa1, 0x20})
	r := read(t, write(t, "in.mkv", one, two), Options{})
	got := gaps(times(r.packets(t)["video"]))
	if d := cmp.Diff(map[int64]int{40: 100, 20: 99}, got); d != "" || len(r.joins) != 1 {
		t.Errorf("joins %v, pictures (-want +got):\n%s", r.joins, d)
	}
}

// TestDamagedMatroska: what FFmpeg finds behind damage in a file, it finds on a
// pipe.
func TestDamagedMatroska(t *testing.T) {
	whole := mkv("h264", 0).bytes(t)
	_, parts, _ := split(t, whole)
	at := bytes.Index(whole, parts[1])
	flip := func(at int, bit byte) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 1 << bit
		return b
	}
	h, _ := headOf(parts[1])
	block := at + len(h.raw)
	e, _ := elementAt(whole[block:])
	cases := []struct {
		name     string
		in       []byte
		pictures int
	}{
		{"zeros between Clusters", slices.Concat(whole[:at], make([]byte, 100_000), whole[at:]), 100},
		{"zeros in a Cluster", slices.Concat(whole[:block], make([]byte, 500), whole[block:]), 75},
		{"a hole", slices.Concat(whole[:block+50], whole[block+700:]), 75},
		{"a block of another kind", flip(block, 4), 99},
		{"a wild time of a block", flip(block+e.header+1, 5), 100},
		{"a block that is too long", flip(block+1, 2), 75},
		{"a Cluster that is too long", flip(at+4+h.header-h.idLen-2, 6), 75},
		{"a Cluster that is too short", flip(at+4+h.header-h.idLen-2, 4), 75},
	}
	for _, c := range cases {
		r := read(t, write(t, "in.mkv", c.in), Options{})
		r.survived(t, c.name, c.pictures)
	}
}

// TestClusterHeads: a time that needs more bytes takes them from what need not be kept.
func TestClusterHeads(t *testing.T) {
	cases := []struct {
		name      string
		elements  []byte
		timestamp uint64
		grown     int
	}{
		{"fits", []byte{idTimestamp, 0x82, 0, 1}, 700, 0},
		{"CRC", []byte{idCRC, 0x84, 1, 2, 3, 4, idTimestamp, 0x81, 1}, 1 << 20, 0},
		{"one byte over", []byte{idTimestamp, 0x81, 1, idPosition, 0x81, 5}, 1 << 8, 0},
		{"all of it", []byte{idTimestamp, 0x81, 1, idPosition, 0x81, 5}, 1 << 24, 0},
		{"no room", []byte{idTimestamp, 0x81, 1}, 1 << 20, 8},
		{"none", nil, 1000, 10},
		{"much room", slices.Concat(void(300), []byte{idTimestamp, 0x81, 1}), 1 << 20, 0},
	}
	for _, c := range cases {
		block := []byte{idSimpleBlock, 0x85, 0x81, 0, 0, 0x80, 0xaa}
		size := len(c.elements) + len(block)
		in := slices.Concat([]byte{0x1f, 0x43, 0xb6, 0x75, 0x40 | byte(size>>8), byte(size)}, c.elements, block)
		h, more := headOf(in)
		if more {
			t.Errorf("%s: the head is not read", c.name)
			continue
		}
		b, grown := h.retimed(c.timestamp)
		out := slices.Concat(b, in[len(h.raw):])
		got, _ := headOf(out)
		e, _ := elementAt(out)
		if grown != c.grown || len(out)-len(in) != grown || got.timestamp != c.timestamp || e.whole() != int64(len(out)) ||
			!bytes.HasSuffix(out, block) {
			t.Errorf("%s: grown by %d, want %d: % x", c.name, grown, c.grown, out)
		}
	}
}
