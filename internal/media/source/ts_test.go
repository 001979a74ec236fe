// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
)

// stride puts bytes before and behind each packet.
func stride(b []byte, before, behind int) []byte {
	var out []byte
	for p := range slices.Chunk(b, packetSize) {
		out = append(append(out, make([]byte, before)...), p...)
		out = append(out, bytes.Repeat([]byte{0x55}, behind)...)
	}
	return out
}

// part is four seconds from a time stamp on.
func part(codec string, start int) film { return film{codec: codec, seconds: 4, start: start} }

func dvb(f film) film {
	f.options = "-mpegts_flags system_b"
	return f
}

func TestJoinsOfTransportStreams(t *testing.T) {
	const s = int64(tickRate)
	without := func(from, to string) (string, string) {
		e := "'lt(t," + from + ")+gte(t," + to + ")'"
		return "select=" + e, "aselect=" + e
	}
	h8v, h8a := without("3", "11")
	h12v, h12a := without("3", "15")
	h15v, _ := without("3", "18")
	cases := []struct {
		name  string
		parts []film
		// jumps are what was taken out, within a frame; pictures how many
		// there are, hole the only distance that is not a period.
		jumps    []int64
		pictures int
		hole     int64
	}{
		{"none", []film{part("mpeg2", 5)}, nil, 100, 0},
		{"back", []film{part("mpeg2", 500), part("mpeg2", 20)}, []int64{-484}, 200, 0},
		{"ahead", []film{part("mpeg2", 10), part("mpeg2", 4000)}, []int64{3986}, 200, 0},
		{"back, H.264", []film{part("h264", 500), part("h264", 20)}, []int64{-484}, 200, 0},
		{"two", []film{part("h264", 10), part("h264", 4888),
			part("h264", 10)}, []int64{4874, -4882}, 300, 0},
		{"B-frames, MPEG-2", []film{part("mpeg2b", 500), part("mpeg2b", 20)},
			[]int64{-484}, 200, 0},
		{"B-frames, H.264", []film{part("h264b", 10), part("h264b", 4888)},
			[]int64{4874}, 200, 0},
		{"AC-3", []film{part("ac3", 500), part("ac3", 20)}, []int64{-484}, 200, 0},
		{"AC-3 of DVB", []film{dvb(part("ac3", 500)), dvb(part("ac3", 20))}, []int64{-484}, 200, 0},
		{"E-AC-3", []film{part("eac3", 500), part("eac3", 20)}, []int64{-484}, 200, 0},
		{"MP3", []film{part("mp3", 500), part("mp3", 20)}, []int64{-484}, 200, 0},
		{"B-frames behind none", []film{part("h264", 10), part("h264b", 4888)},
			[]int64{4874}, 200, 0},
		{"hole of 8 s in all", []film{{codec: "h264", seconds: 14, start: 10, picture: h8v, sound: h8a}}, nil, 150, 8 * s},
		{"hole of 12 s in all", []film{{codec: "h264", seconds: 18, start: 10, picture: h12v, sound: h12a}},
			[]int64{12}, 150, 0},
		{"hole of 15 s in the picture", []film{{codec: "h264", seconds: 21, start: 10, picture: h15v}}, nil, 150, 15 * s},
		{"wrap", []film{part("h264", 95442)}, nil, 100, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := readParts(t, "in.ts", c.parts)
			r.jumped(t, c.jumps)
			want := map[int64]int{testPeriod: c.pictures - 1}
			if c.hole > 0 {
				want = map[int64]int{testPeriod: c.pictures - 2, c.hole + testPeriod: 1}
			}
			p := r.packets(t)
			if d := cmp.Diff(want, gaps(times(p["video"]))); d != "" {
				t.Errorf("pictures (-want +got):\n%s", d)
			}
			shown := r.decode(t, true)
			if d := cmp.Diff(want, gaps(shown)); d != "" {
				t.Errorf("pictures shown (-want +got):\n%s", d)
			}
			checkSound(t, p["audio"], c.hole > 0)
			for _, j := range r.joins {
				if !slices.Contains(shown, j.Ticks) {
					t.Errorf("no picture is shown at %d, where a join is reported", j.Ticks)
				}
			}
			for kind, list := range p {
				for i := 1; i < len(list); i++ {
					if list[i].DTS <= list[i-1].DTS {
						t.Errorf("%s packet %d: decoding time %d after %d", kind, i, list[i].DTS, list[i-1].DTS)
					}
				}
			}
		})
	}
}

// checkSound: at a join, sound may lack or overlap by what a frame has more
// than the picture, not more.
func checkSound(t *testing.T, p []packet, holes bool) {
	t.Helper()
	for step, n := range gaps(times(p)) {
		if (step <= 0 || step > 3*2160) && !holes {
			t.Errorf("%d steps of %d ticks in the sound", n, step)
		}
	}
}

func TestPacketSizes(t *testing.T) {
	plain := part("mpeg2", 5).bytes(t)
	want := read(t, write(t, "plain.ts", plain), Options{}).data
	m2ts := film{codec: "h264", seconds: 2, options: "-mpegts_m2ts_mode 1"}.bytes(t)
	cases := []struct {
		name string
		in   []byte
	}{
		{"192", stride(plain, 4, 0)},
		{"204", stride(plain, 0, 16)},
		{"garbage before", append(bytes.Repeat([]byte("garbage G"), 50), plain...)},
		{"garbage between", slices.Concat(plain[:100*packetSize], []byte("garbage"), plain[100*packetSize:])},
		{"another size later", append(slices.Clone(plain[:101*packetSize]), stride(plain[101*packetSize:], 0, 16)...)},
		{"the end is cut off", append(slices.Clone(plain), plain[:100]...)},
	}
	for _, c := range cases {
		if got := read(t, write(t, "in.ts", c.in), Options{}).data; !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d", c.name, len(got), len(want))
		}
	}
	r := read(t, write(t, "in.m2ts", m2ts), Options{})
	if n := len(r.decode(t, true)); n != 50 {
		t.Errorf("M2TS: %d pictures, want 50", n)
	}
}

// TestDamage: packets that are damaged harm nothing but themselves.
func TestDamage(t *testing.T) {
	b := slices.Clone(part("mpeg2", 5).bytes(t))
	for _, at := range []int{50, 51, 120, 200} {
		b[at*packetSize] = 0x12 // the sync byte
	}
	b[130*packetSize+1] |= 0x80 // transport error
	copy(b[140*packetSize+1:], bytes.Repeat([]byte{0xff}, 187))
	b = slices.Delete(b, 150*packetSize+50, 150*packetSize+90) // a packet that is too short
	r := read(t, write(t, "in.ts", b), Options{})
	if n, want := len(r.data)/packetSize, len(b)/packetSize; n < want-20 || n > want+20 {
		t.Errorf("%d packets of %d", n, want)
	}
	if n := len(r.decode(t, false)); n < 95 {
		t.Errorf("%d pictures of 100", n)
	}
	if len(r.joins) > 0 {
		t.Errorf("joins %v", r.joins)
	}
}

// twoServices is a transport stream of two programmes, with names.
func twoServices(t *testing.T) []byte {
	t.Helper()
	args := []string{"-f", "lavfi", "-i", "testsrc=s=160x90:r=25:d=4", "-f", "lavfi", "-i", "testsrc=s=320x180:r=25:d=4",
		"-f", "lavfi", "-i", "sine=d=4", "-f", "lavfi", "-i", "sine=d=4"}
	args = append(args, "-map", "0:v", "-map", "2:a", "-map", "1:v", "-map", "3:a", "-pix_fmt", "yuv420p")
	args = append(append(args, codecs["mpeg2"]...), "-threads", "1",
		"-program", "title=One:program_num=11:st=0:st=1", "-program", "title=Two:program_num=12:st=2:st=3",
		"-f", "mpegts", "pipe:1")
	b, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffmpeg", Args: args})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProgrammes(t *testing.T) {
	path := write(t, "two.ts", twoServices(t))
	for programme, width := range map[int]string{0: "160", 11: "160", 12: "320"} {
		r := read(t, path, Options{Programme: programme})
		b, err := ffmpeg.Output(t.Context(), ffmpeg.Cmd{Tool: "ffprobe", Stdin: bytes.NewReader(r.data), Args: []string{
			"-f", "mpegts", "-show_entries", "stream=codec_type,width", "-of", "csv=p=0", "-i", "pipe:0"}})
		if err != nil {
			t.Fatal(err)
		}
		lines := map[string]bool{}
		for l := range strings.FieldsSeq(string(b)) {
			lines[strings.Trim(l, ",")] = true
		}
		if d := cmp.Diff(map[string]bool{"video," + width: true, "audio": true}, lines); d != "" {
			t.Errorf("programme %d (-want +got):\n%s", programme, d)
		}
		if n := len(r.decode(t, true)); n != 100 {
			t.Errorf("programme %d: %d pictures", programme, n)
		}
	}
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Programme{
		{Number: 11, Name: "One", Streams: []Stream{
			{PID: 0x100, Type: 2, Picture: true}, {PID: 0x101, Type: 3, Sound: true}}},
		{Number: 12, Name: "Two", Streams: []Stream{
			{PID: 0x102, Type: 2, Picture: true}, {PID: 0x103, Type: 3, Sound: true}}},
	}
	if d := cmp.Diff(want, s.Programmes()); d != "" || s.Container() != TS {
		t.Errorf("container %v, programmes (-want +got):\n%s", s.Container(), d)
	}
	_, err = Open(t.Context(), path, Options{Programme: 13})
	if err == nil || !strings.Contains(err.Error(), "it has 11 (One), 12 (Two)") {
		t.Errorf("programme 13: %v", err)
	}
}

// TestOtherPIDs: the second part numbers its programme and streams otherwise.
func TestOtherPIDs(t *testing.T) {
	r := read(t, write(t, "in.ts",
		part("h264", 500).bytes(t),
		film{codec: "h264", seconds: 4, start: 20,
			options: "-mpegts_start_pid 0x200 -mpegts_pmt_start_pid 0x300 -mpegts_service_id 7"}.bytes(t)), Options{})
	if len(r.joins) != 1 {
		t.Errorf("joins %v", r.joins)
	}
	if d := cmp.Diff(map[int64]int{testPeriod: 199}, gaps(r.decode(t, true))); d != "" {
		t.Errorf("pictures (-want +got):\n%s", d)
	}
	checkSound(t, r.packets(t)["audio"], false)
}

// TestLateTables: what comes before the first tables is not lost.
func TestLateTables(t *testing.T) {
	b := part("h264", 5).bytes(t)
	var late []byte
	for p := range slices.Chunk(b, packetSize) {
		if pid := (int(p[1])<<8 | int(p[2])) & 0x1fff; len(late) > 20*packetSize || pid != 0 && pid != 0x1000 {
			late = append(late, p...)
		}
	}
	if n := len(read(t, write(t, "late.ts", late), Options{}).decode(t, true)); n != 100 {
		t.Errorf("%d pictures of 100", n)
	}
}

// TestNoTables: FFmpeg finds streams without tables, and their clock is closed.
func TestNoTables(t *testing.T) {
	b := slices.Concat(part("mpeg2", 500).bytes(t), part("mpeg2", 20).bytes(t))
	var bare []byte
	for p := range slices.Chunk(b, packetSize) {
		if pid := (int(p[1])<<8 | int(p[2])) & 0x1fff; pid >= 0x100 && pid < 0x1000 {
			bare = append(bare, p...)
		}
	}
	r := read(t, write(t, "bare.ts", bare), Options{})
	if d := cmp.Diff(map[int64]int{testPeriod: 199}, gaps(r.decode(t, false))); d != "" || len(r.joins) != 1 {
		t.Errorf("joins %v, pictures (-want +got):\n%s", r.joins, d)
	}
}

func TestContainers(t *testing.T) {
	cases := []struct {
		name string
		data []byte
		want Container
	}{
		{"mp4", film{codec: "h264", seconds: 1, format: "mov", options: "-movflags +frag_keyframe+empty_moov"}.bytes(t),
			FragmentedMP4},
		{"mov", film{codec: "h264", seconds: 1, format: "mov", file: true}.bytes(t), Other},
		{"mkv", film{codec: "h264", seconds: 1, format: "matroska"}.bytes(t), Matroska},
		{"flv", film{codec: "h264", seconds: 1, format: "flv", options: "-ar 44100"}.bytes(t), FLV},
		{"ts", film{codec: "h264", seconds: 1}.bytes(t), TS},
		{"one packet", film{codec: "h264", seconds: 1}.bytes(t)[:packetSize], Other},
		{"text", bytes.Repeat([]byte("no media "), 4000), Other},
		{"G", bytes.Repeat([]byte("G"), 400), TS},
	}
	for _, c := range cases {
		path := write(t, "in", c.data)
		s, err := Open(t.Context(), path, Options{})
		if err != nil || s.Container() != c.want {
			t.Errorf("%s: container %v, %v", c.name, s.Container(), err)
			continue
		}
		args, in, err := s.Input(t.Context(), "-re")
		if err != nil || (in == nil) != (c.want == Other) || !slices.Contains(args, "-re") {
			t.Errorf("%s: %v %v %v", c.name, args, in, err)
		}
		if in != nil {
			in.Close()
		} else if d := cmp.Diff(ffmpeg.Input(path, "-re"), args); d != "" {
			t.Errorf("%s: arguments (-want +got):\n%s", c.name, d)
		}
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	if _, err := Open(t.Context(), t.TempDir()+"/none.ts", Options{}); !errors.Is(err, ffmpeg.ErrNotFound) {
		t.Errorf("no file: %v", err)
	}
	if _, err := Open(t.Context(), write(t, "empty.ts"), Options{}); !errors.Is(err, ffmpeg.ErrEmpty) {
		t.Errorf("an empty file: %v", err)
	}
	path := write(t, "a b.ts", film{codec: "h264", seconds: 1}.bytes(t))
	if s, err := Open(t.Context(), "file://"+path, Options{}); err != nil || s.Container() != TS {
		t.Errorf("a file's URL: %v", err)
	}
}
