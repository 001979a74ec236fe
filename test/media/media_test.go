// SPDX-License-Identifier: Apache-2.0

//go:build media

package media

import (
	"context"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mre-operator/mre-operator/test/media/check"
	"github.com/mre-operator/mre-operator/test/media/film"
	"github.com/mre-operator/mre-operator/test/media/kinds"
)

var (
	cuts    = flag.Int("media.cuts", 2, "clips of every kind and mode; the first ones are always the same")
	reels   = flag.Int("media.reels", 1, "reels of every kind and mode")
	seed    = flag.Uint64("media.seed", 0, "seed of the further clips and of the mutations; 0 takes one from the clock")
	only    = flag.String("media.kind", "", "regular expression: the kinds to try")
	extra   = flag.Int("media.extra", 20, "further clips, of kinds and ranges by the seed")
	keep    = flag.String("media.keep", "", "folder in which sources and outputs are kept")
	timeout = flag.Duration("media.timeout", 4*time.Minute, "for one ingest")
)

// fixedSeed makes the films and the first cuts the same in every run, so that what is known to fail does.
const fixedSeed = 1

const (
	copyTolerance      = 1_000
	mezzanineTolerance = 5_000
)

// TestMain settles the seed.
func TestMain(m *testing.M) {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano() % 1_000_000)
	}
	fmt.Printf("media: seed %d (repeat with -media.seed)\n", *seed)
	os.Exit(m.Run())
}

// TestKinds ingests every kind in every mode, and checks clips and reels of it.
func TestKinds(t *testing.T) {
	match := regexp.MustCompile(*only)
	var chosen []kinds.Kind
	for _, k := range kinds.All() {
		if match.MatchString(k.Name) {
			chosen = append(chosen, k)
		}
	}
	more := map[string]int{}
	rng := rand.New(rand.NewPCG(*seed, 1))
	for range *extra {
		more[chosen[rng.IntN(len(chosen))].Name]++
	}
	var results board
	t.Cleanup(func() { results.settle(t, *only == "") })
	for _, k := range chosen {
		t.Run(k.Name, func(t *testing.T) {
			t.Parallel()
			tryKind(t, k, more[k.Name], &results)
		})
	}
}

func tryKind(t *testing.T, k kinds.Kind, more int, results *board) {
	ctx := t.Context()
	dir := folder(t, k.Name)
	source, err := k.Make(ctx, dir, fixedSeed)
	if err != nil {
		t.Fatal(err)
	}
	url := serve(t, source)
	for _, mezzanine := range []bool{false, true} {
		// What is not copied is a mezzanine anyhow.
		if mezzanine && !k.Copy {
			continue
		}
		tr := &trial{kind: k, source: source, results: results, mode: "Mezzanine"}
		if !mezzanine && k.Copy {
			tr.mode = "Copy"
		}
		tr.run(ctx, url, folder(t, k.Name+"."+tr.mode), mezzanine, more)
		results.add(tr)
	}
}

// folder is one that is kept if that is asked for.
func folder(t *testing.T, name string) string {
	if *keep == "" {
		return t.TempDir()
	}
	dir := filepath.Join(*keep, strings.ReplaceAll(name, "/", "_"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// serve gives the URL of a source.
func serve(t *testing.T, s kinds.Source) string {
	if s.Serving == kinds.File {
		return s.Path
	}
	files := http.FileServer(http.Dir(filepath.Dir(s.Path)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.Serving == kinds.HTTPWithoutRanges {
			r.Header.Del("Range")
			w = withoutRanges{w}
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server.URL + "/" + filepath.Base(s.Path)
}

// withoutRanges does not say that ranges may be asked for.
type withoutRanges struct{ http.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w withoutRanges) WriteHeader(code int) {
	w.Header().Set("Accept-Ranges", "none")
	w.ResponseWriter.WriteHeader(code)
}

// trial is a kind in a mode.
type trial struct {
	kind    kinds.Kind
	mode    string
	source  kinds.Source
	results *board

	event  *Event
	clock  *film.Clock
	frames int64
	// outputs were made or tried.
	outputs  int
	offset   int64
	findings []check.Finding
}

func (tr *trial) add(what, format string, args ...any) {
	detail, _, _ := strings.Cut(fmt.Sprintf(format, args...), "\n")
	if len(detail) > 300 {
		detail = detail[:300] + "…"
	}
	tr.findings = append(tr.findings, check.Finding{What: what, Detail: detail})
}

func (tr *trial) run(ctx context.Context, url, dir string, mezzanine bool, more int) {
	limited, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()
	units := filepath.Join(dir, "units")
	if err := os.MkdirAll(units, 0o755); err != nil {
		tr.add("ingest", "%v", err)
		return
	}
	e, err := Ingest(limited, url, units, Wishes{mezzanine, tr.source.KeepHDR, tr.source.Programme})
	if err != nil {
		if tr.source.Refusal == "" || !strings.Contains(err.Error(), tr.source.Refusal) {
			tr.add("ingest", "%v", err)
		}
		return
	}
	tr.event = e
	tr.clock = film.NewClock(tr.source.Truth, e.Rate, e.Copied)
	tr.checkEvent()
	// The same ranges in every run, then others.
	fixed := rand.New(rand.NewPCG(fixedSeed, hash(tr.kind.Name)))
	other := rand.New(rand.NewPCG(*seed, hash(tr.kind.Name+tr.mode)))
	for i := range *cuts + more {
		rng := fixed
		if i >= 2 {
			rng = other
		}
		tr.cut(ctx, dir, tr.choose(rng, i), i)
	}
	for i := range *reels {
		rng := fixed
		if i >= 1 {
			rng = other
		}
		tr.reel(ctx, dir, rng, i)
	}
}

func hash(s string) uint64 {
	h := fnv.New64()
	h.Write([]byte(s))
	return h.Sum64()
}

// checkEvent checks what ingest says of the source.
func (tr *trial) checkEvent() {
	truth := tr.source.Truth
	if tr.mode == "Copy" && !tr.event.Copied {
		tr.add("mode", "%s", tr.event.Reason)
	}
	rate := truth.Rate
	if truth.MezzanineRate.Valid() && !tr.event.Copied {
		rate = truth.MezzanineRate
	}
	if got := tr.event.Rate; rate.Valid() && (got.Float() < rate.Float()*0.9995 || got.Float() > rate.Float()*1.0005) {
		tr.add("rate", "%s frames a second instead of %s", got, rate)
	}
	least, most := tr.clock.Frames()
	if tr.event.Frames < least || tr.event.Frames > most {
		tr.add("length", "%d frames instead of %d to %d", tr.event.Frames, least, most)
	}
	tr.frames = min(least, tr.event.Frames)
	if got := tr.event.Tracks; got != len(truth.Tracks) {
		tr.add(check.Tracks, "%d sound tracks instead of %d", got, len(truth.Tracks))
	}
}

// choose gives a range of up to three seconds: first where something happens, then begin or end, then anywhere.
func (tr *trial) choose(rng *rand.Rand, i int) [2]int64 {
	rate := tr.event.Rate.Float()
	n := min(max(int64(rate*(0.4+2.6*rng.Float64())), 1), tr.frames)
	if i%20 == 19 {
		n = 1
	}
	in := rng.Int64N(tr.frames - n + 1)
	switch focus := tr.source.Focus; {
	case i%2 == 0 && i/2 < len(focus):
		n = min(max(n, int64(rate)), tr.frames)
		in = int64(float64(focus[i/2])*rate/1e6) - n/2
	case i == 0:
		in = 0
	case i == 4:
		in = tr.frames - n
	}
	in = min(max(in, 0), tr.frames-n)
	return [2]int64{in, in + n}
}

// tracks take turns.
func (tr *trial) track(i int) int {
	if n := min(len(tr.source.Truth.Tracks), tr.event.Tracks); n > 0 {
		return 1 + i%n
	}
	return 0
}

func (tr *trial) cut(ctx context.Context, dir string, r [2]int64, i int) {
	tr.outputs++
	out := filepath.Join(dir, fmt.Sprintf("clip%d", i))
	if err := os.MkdirAll(out, 0o755); err != nil {
		tr.add("clip", "%v", err)
		return
	}
	track := tr.track(i)
	mp4, err := tr.event.Clip(ctx, out, r[0], r[1], track)
	if err != nil {
		tr.add("clip", "%v", err)
		return
	}
	tr.judge(ctx, fmt.Sprintf("clip [%d,%d)", r[0], r[1]), mp4, check.Ask{Parts: [][2]int64{r}, Track: track})
}

func (tr *trial) reel(ctx context.Context, dir string, rng *rand.Rand, i int) {
	tr.outputs++
	ask := check.Ask{Track: tr.track(i)}
	for k := range 3 {
		ask.Parts = append(ask.Parts, tr.choose(rng, 2*k))
	}
	w, h := tr.source.Truth.Looks[0].Shown()
	switch i % 3 {
	case 0: // upright, of the middle
		ask.Width, ask.Height = (h*9/16+1)&^1, h&^1
	case 1:
		ask.Width, ask.Height = (2*w)&^1, (2*h)&^1
	}
	out := filepath.Join(dir, fmt.Sprintf("reel%d", i))
	if err := os.MkdirAll(out, 0o755); err != nil {
		tr.add("reel", "%v", err)
		return
	}
	mp4, err := tr.event.Reel(ctx, out, ask.Parts, ask.Track, ask.Width, ask.Height)
	if err != nil {
		tr.add("reel", "%v", err)
		return
	}
	tr.judge(ctx, fmt.Sprintf("reel %v", ask.Parts), mp4, ask)
}

// copied says that no part of an output is from a mezzanine.
func (tr *trial) copied(parts [][2]int64) bool {
	for _, p := range parts {
		for _, m := range tr.event.Mezzanines {
			if p[1] > m.Frame {
				return false
			}
		}
	}
	return tr.event.Copied
}

func (tr *trial) judge(ctx context.Context, name, path string, ask check.Ask) {
	ask.Clock = tr.clock
	ask.SoundTolerance = mezzanineTolerance + tr.source.Slack
	if tr.copied(ask.Parts) {
		ask.SoundTolerance = copyTolerance + tr.source.Slack + tr.source.CopySlack
	}
	r, err := check.Output(ctx, path, ask)
	if err != nil {
		tr.add(check.Decode, "%s: %v", name, err)
		return
	}
	if r.SoundOffset > tr.offset && r.SoundOffset > -tr.offset || r.SoundOffset < tr.offset && r.SoundOffset < -tr.offset {
		tr.offset = r.SoundOffset
	}
	for _, f := range r.Findings {
		tr.add(f.What, "%s: %s", name, f.Detail)
	}
}
