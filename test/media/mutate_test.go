// SPDX-License-Identifier: Apache-2.0

//go:build media

package media

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/mre-operator/mre-operator/internal/media/ffmpeg"
	"github.com/mre-operator/mre-operator/test/media/check"
	"github.com/mre-operator/mre-operator/test/media/film"
	"github.com/mre-operator/mre-operator/test/media/kinds"
)

var mutations = flag.Int("media.mutations", 10, "damaged files to try")

// mutated are the kinds that are damaged.
var mutated = []string{"25", "ts", "mkv", "mpeg2-ts", "flv", "fragmented-mp4"}

// mutator damages a file.
type mutator struct {
	name   string
	damage func(rng *rand.Rand, raw []byte) []byte
}

var mutators = []mutator{
	{"bits", flipBits}, {"truncated", truncate}, {"dropped", dropBlocks}, {"swapped", swapParts},
}

func flipBits(rng *rand.Rand, raw []byte) []byte {
	out := append([]byte(nil), raw...)
	for range 1 + rng.IntN(20) {
		out[rng.IntN(len(out))] ^= 1 << rng.IntN(8)
	}
	return out
}

func truncate(rng *rand.Rand, raw []byte) []byte { return raw[:len(raw)*(30+rng.IntN(65))/100] }

// dropBlocks leaves out blocks of the size of transport packets.
func dropBlocks(rng *rand.Rand, raw []byte) []byte {
	const block = 188
	lost := map[int]bool{}
	for range 1 + rng.IntN(8) {
		lost[rng.IntN(len(raw)/block)] = true
	}
	var out []byte
	for i := 0; i*block < len(raw); i++ {
		if !lost[i] {
			out = append(out, raw[i*block:min((i+1)*block, len(raw))]...)
		}
	}
	return out
}

// swapParts exchanges two parts of the second half, each a sixteenth of the file.
func swapParts(rng *rand.Rand, raw []byte) []byte {
	out := append([]byte(nil), raw...)
	n := len(raw) / 16 / 188 * 188
	a := (8 + rng.IntN(4)) * n
	b := a + n + rng.IntN(3)*n
	copy(out[a:a+n], raw[b:b+n])
	copy(out[b:b+n], raw[a:a+n])
	return out
}

// TestMutations damages files and compares what becomes of them with what a plain decoder shows: nearly all pictures
// that it can show must be in the Event. A refusal is right only where it shows none.
func TestMutations(t *testing.T) {
	var mu sync.Mutex
	found := map[failure]string{}
	refused := 0
	tried := map[string]bool{}
	t.Cleanup(func() {
		if refused*6 > max(*mutations, 6) {
			t.Errorf("%d of %d files cannot be read at all: damage them less", refused, *mutations)
		}
		judge(t, found, func(f failure) bool { return f.Kind == "mutations" && tried[f.Mode] })
	})
	sources := mutationSources(t)
	for i := range *mutations {
		kind, m := mutated[i%len(mutated)], mutators[i/len(mutated)%len(mutators)]
		name := fmt.Sprintf("%02d-%s-%s", i, kind, m.name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := mutate(t, sources[kind], name, m, uint64(i))
			t.Log(v)
			mu.Lock()
			defer mu.Unlock()
			tried[name] = true
			if v.shown == 0 {
				refused++
			}
			if v.wrong() {
				found[failure{"mutations", name, "pictures"}] = v.String()
			}
		})
	}
}

func mutationSources(t *testing.T) map[string]kinds.Source {
	sources := map[string]kinds.Source{}
	for _, k := range kinds.All() {
		for _, name := range mutated {
			if k.Name == name {
				s, err := k.Make(t.Context(), folder(t, "mutations."+name), fixedSeed)
				if err != nil {
					t.Fatal(err)
				}
				whole := numbers(t.Context(), s.Truth, ffmpeg.Cmd{Tool: "ffmpeg", Args: ffmpeg.Input(s.Path)})
				if len(whole) != len(s.Truth.Pictures) {
					t.Fatalf("%d of %d pictures can be read in %s before it is damaged", len(whole), len(s.Truth.Pictures), name)
				}
				sources[name] = s
			}
		}
	}
	return sources
}

// verdict is what became of a damaged file.
type verdict struct {
	// shown is the number of different pictures that a plain decoder shows, kept how many of them are in the Event.
	shown, kept int
	refusal     error
}

func (v verdict) wrong() bool { return v.kept*100 < v.shown*95 }

// String implements fmt.Stringer.
func (v verdict) String() string {
	s := fmt.Sprintf("%d of %d pictures are in the Event", v.kept, v.shown)
	if v.refusal != nil {
		first, _, _ := strings.Cut(v.refusal.Error(), "\n")
		s += ": " + first
	}
	return s
}

func mutate(t *testing.T, s kinds.Source, name string, m mutator, n uint64) verdict {
	raw, err := os.ReadFile(s.Path)
	if err != nil {
		t.Fatal(err)
	}
	dir := folder(t, "mutations."+name)
	path := filepath.Join(dir, "damaged"+filepath.Ext(s.Path))
	if err := os.WriteFile(path, m.damage(rand.New(rand.NewPCG(fixedSeed, n)), raw), 0o644); err != nil {
		t.Fatal(err)
	}
	shown := numbers(t.Context(), s.Truth, ffmpeg.Cmd{Tool: "ffmpeg", Args: ffmpeg.Input(path)})
	v := verdict{shown: len(shown)}

	units := filepath.Join(dir, "units")
	if err := os.MkdirAll(units, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), *timeout)
	defer cancel()
	e, err := Ingest(ctx, path, units, Wishes{})
	v.refusal = err
	if e == nil {
		return v
	}
	stored, err := e.Units()
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close()
	kept := numbers(t.Context(), s.Truth, ffmpeg.Cmd{Tool: "ffmpeg", Stdin: stored,
		Args: []string{"-f", "mpegts", "-i", "pipe:0"}})
	for n := range shown {
		if kept[n] {
			v.kept++
		}
	}
	return v
}

// numbers are the pictures of a film that FFmpeg shows, whatever it complains about.
func numbers(ctx context.Context, truth film.Truth, cmd ffmpeg.Cmd) map[int]bool {
	w, h := truth.Looks[0].Width, truth.Looks[0].Height
	pr, pw := io.Pipe()
	cmd.Stdout = pw
	cmd.Args = append(cmd.Args, "-map", "0:v:0", "-vf", fmt.Sprintf("scale=%d:%d,format=gray", w, h),
		"-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1")
	var wait sync.WaitGroup
	wait.Go(func() { pw.CloseWithError(ffmpeg.Run(ctx, cmd)) })
	defer wait.Wait()
	defer pr.Close()
	first, last := truth.Pictures[0].Number, truth.Pictures[len(truth.Pictures)-1].Number
	seen := map[int]bool{}
	in := bufio.NewReaderSize(pr, 1<<16)
	luma := make([]byte, w*h)
	for {
		if _, err := io.ReadFull(in, luma); err != nil {
			return seen
		}
		c := check.Canvas{Luma: luma, Width: w, Height: h}
		if n, err := c.Number(c.Whole()); err == nil && n >= first && n <= last {
			seen[n] = true
		}
	}
}
