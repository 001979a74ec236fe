// SPDX-License-Identifier: Apache-2.0

package terminal

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTable(t *testing.T) {
	table := NewTable("NAME", "CHUNKS", "STATE", "MESSAGE")
	table.Row("final", 7, Cell{"Running", Busy}, nil)
	table.Note(Cell{"the plugin \x1b[31mcuts\n  says: no frames in the picture", Bad})
	table.Row("Größe 日本", 120, "Complete", "all done")
	for name, c := range map[string]struct {
		palette Palette
		width   int
		want    string
	}{
		"plain": {Palette{}, 0, `
NAME         CHUNKS   STATE      MESSAGE
final             7   Running
    the plugin cuts
      says: no frames in the picture
Größe 日本      120   Complete   all done
`},
		"narrow": {Palette{}, 30, `
NAME         CHUNKS   STATE      MESSAGE
final             7   Running
    the plugin cuts
      says: no frames in the
      picture
Größe 日本      120   Complete   all done
`},
	} {
		var out strings.Builder
		if err := table.Write(&out, c.palette, c.width); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), out.String()); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	var out strings.Builder
	if err := table.Write(&out, Coloured(), 0); err != nil {
		t.Fatal(err)
	}
	if want := "\x1b[33mRunning\x1b[0m\n"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in %q", want, out.String())
	}
}

func sections() []Section {
	return []Section{{
		Title: "football/final  Running",
		Bars: []Bar{
			{Name: "ingest", Done: 3, Note: "00:00:18:00"},
			{Name: "featurers", Done: 10, Of: 20, Failed: 1, Note: "2 at work"},
			{Name: "clips", Done: 4, Of: 4},
		},
		Lines: []Cell{{"chunk 3: segmented after 0.8s", Faint}},
	}}
}

func TestDraw(t *testing.T) {
	for name, c := range map[string]struct {
		width int
		want  string
	}{
		"wide": {0, `
football/final  Running
  ingest     ──────────────────────────────      3  00:00:18:00
  featurers  ━━━━━━━━━━━━━━━━──────────────  10/20  2 at work
  clips      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━    4/4
  chunk 3: segmented after 0.8s
`},
		"narrow": {56, `
football/final  Running
  ingest     ──────────────────────────────      3  00:…
  featurers  ━━━━━━━━━━━━━━━━──────────────  10/20  2 a…
  clips      ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━    4/4
  chunk 3: segmented after 0.8s
`},
	} {
		got := strings.Join(Draw(sections(), Palette{}, c.width), "\n") + "\n"
		if diff := cmp.Diff(strings.TrimPrefix(c.want, "\n"), got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestLiveDrawsOverItself(t *testing.T) {
	var out strings.Builder
	l := &live{w: &out}
	l.Show(sections())
	out.Reset()
	l.Show([]Section{{Title: "ended", Ended: true}})
	if want := "\x1b[5A\r\x1b[2Kended\n\x1b[J"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestPlain(t *testing.T) {
	var out strings.Builder
	now := time.Unix(0, 0)
	p := &plain{w: &out, began: now, now: func() time.Time { return now }}
	show := func(after time.Duration, done int64, ended bool) {
		now = now.Add(after)
		p.Show([]Section{{Title: "final", Ended: ended, Bars: []Bar{{Name: "clips", Done: done, Of: 4}}}})
	}
	show(0, 1, false)
	show(2*time.Second, 2, false)  // too soon
	show(4*time.Second, 2, false)  // now
	show(20*time.Second, 2, false) // nothing new
	show(70*time.Second, 2, false) // still there
	show(time.Second, 4, true)     // the end is said at once
	p.Stop()
	want := "    0s  final  clips 1/4\n    6s  final  clips 2/4\n   96s  final  clips 2/4\n   97s  final  clips 4/4\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	show(time.Second, 3, false)
	p.Stop()
	if !strings.HasSuffix(out.String(), "   98s  final  clips 3/4\n") {
		t.Errorf("what was not said yet is lost: %q", out.String())
	}
}

func TestNoColours(t *testing.T) {
	if PaletteFor(&strings.Builder{}).on {
		t.Error("what is no terminal is coloured")
	}
	if got := (Palette{}).Paint(Bad, "x"); got != "x" {
		t.Errorf("got %q", got)
	}
}
