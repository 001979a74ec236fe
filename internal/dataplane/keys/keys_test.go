// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	mp4, jpg := Clip("ns", "u", ClipFile{Segment: "000007-0", Variant: "original", Track: 1, MarkVersion: 2, Attempt: 3})
	reel, thumb := Reel("ns", "u", "r", "0123456789abcdef", "1920x1080", 1)
	all := []string{
		Unit("ns", "u", 0, 126000), mp4, jpg, reel, thumb,
		EventExport("ns", "u"), EDLExport("ns", "u", 1), Retained("ns", "u"),
	}
	want := []string{
		"ns/u/units/0/0000000126000.ts",
		"ns/u/clips/000007-0/original-t1-m2-a3.mp4", "ns/u/clips/000007-0/original-t1-m2-a3.jpg",
		"ns/u/reels/r/0123456789ab/1920x1080-a1.mp4", "ns/u/reels/r/0123456789ab/1920x1080-a1.jpg",
		"ns/u/exports/event.json", "ns/u/exports/track1.edl", "ns/u/retained.json",
	}
	for i := range want {
		if all[i] != want[i] {
			t.Errorf("key %d is %q, want %q", i, all[i], want[i])
		}
		if ns, uid, ok := Owner(all[i]); !ok || ns != "ns" || uid != "u" {
			t.Errorf("owner of %q is %q %q %v", all[i], ns, uid, ok)
		}
		for j := range all {
			if i != j && strings.HasPrefix(all[j], all[i]+"/") {
				t.Errorf("%q is a path prefix of %q", all[i], all[j])
			}
		}
	}
	for _, bad := range []string{"", "a", "a/b", "a/b/", "/b/c"} {
		if _, _, ok := Owner(bad); ok {
			t.Errorf("%q has an owner", bad)
		}
	}
}
