// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// retimed reads bytes as a source does that was opened on them.
func retimed(data []byte, as Container) ([]byte, error) {
	in := io.NopCloser(bytes.NewReader(data))
	switch as {
	case FLV:
		return io.ReadAll(newFLVRetimer(in, Options{}))
	case Matroska:
		return io.ReadAll(newMatroskaRetimer(in, Options{}))
	case FragmentedMP4:
		fragmentedMP4(bytes.NewReader(data))
		return io.ReadAll(newFMP4Retimer(in, Options{}))
	}
	known, err := readTables(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(newRetimer(in, known, Options{}))
}

// checkBounds: whatever comes in, reading ends, and gives no more than there
// is and the tables that are repeated.
func checkBounds(t *testing.T, data []byte) {
	t.Helper()
	for _, as := range []Container{TS, FLV, Matroska, FragmentedMP4} {
		out, err := retimed(data, as)
		if err != nil || len(out) > 64*packetSize+8*len(data) {
			t.Errorf("container %d: %d bytes of %d, %v", as, len(out), len(data), err)
		}
	}
}

func FuzzRetimer(f *testing.F) {
	f.Add([]byte("FLV\x01"))
	f.Add(bytes.Repeat([]byte{syncByte}, 2*packetSize))
	f.Add(slices.Concat(ebmlMagic, []byte{0x80}, clusters(1000, 0, 3000)))
	moof := slices.Concat([]byte(
		"\x00\x00\x00\x64moof\x00\x00\x00\x10mfhd\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x4ctraf"),
		[]byte("\x00\x00\x00\x18tfhd\x00\x00\x00\x09\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x64"),
		[]byte("\x00\x00\x00\x14tfdt\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00"),
		[]byte(
			"\x00\x00\x00\x18trun\x00\x00\x02\x01\x00\x00\x00\x01\x00\x00\x00\x6c\x00\x00\x00\x04\x00\x00\x00\x0cmdatabcd"))
	f.Add(slices.Concat(moof, moof))
	f.Fuzz(func(t *testing.T, data []byte) { checkBounds(t, data) })
}

// mutate flips bits, takes bytes out and swaps parts.
func mutate(r *rand.Rand, data []byte) []byte {
	b := bytes.Clone(data)
	for range r.IntN(200) {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	for range r.IntN(4) {
		at, n := r.IntN(len(b)), r.IntN(2000)
		b = append(b[:at], b[min(at+n, len(b)):]...)
	}
	if r.IntN(2) == 0 {
		at := r.IntN(len(b))
		b = append(bytes.Clone(b[at:]), b[:at]...)
	}
	return b
}

func TestMutations(t *testing.T) {
	ts := slices.Concat(film{codec: "mpeg2b", seconds: 4, start: 500}.bytes(t),
		film{codec: "h264b", seconds: 4, start: 10}.bytes(t))
	flv := film{codec: "h264", seconds: 4, start: 5, format: "flv", options: "-ar 44100"}.bytes(t)
	mkv := film{codec: "h264b", seconds: 4, format: "matroska", file: true}.bytes(t)
	mkv = slices.Concat(mkv, mkv)
	mp4 := fragmentsOf("h264b", relative).bytes(t)
	mp4 = slices.Concat(mp4, mp4)
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 0))
		checkBounds(t, mutate(r, mkv))
		checkBounds(t, mutate(r, mp4))
		checkBounds(t, mutate(r, ts))
		checkBounds(t, mutate(r, flv))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}
