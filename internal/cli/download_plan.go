// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"path"
	"strings"
	"unicode"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// Kinds of files, each with a folder of its own.
var fileKinds = []string{"clips", "reels", "exports"}

// selection says which files are wanted; all of them when it is zero.
type selection struct {
	clips, reels, exports bool
	segment               string
}

// outputs are the rows of all that was made of an Event.
type outputs struct {
	state    api.EventState
	segments []api.Segment
	clips    []api.Clip
	reels    []namedReplay
}

type namedReplay struct {
	name  string
	state api.ReplayState
}

// file is an object and the name that it gets.
type file struct {
	kind, name, location string
	// size is 0 where it is not known.
	size int64
}

// files are what is to be fetched.
func (w selection) files(made outputs) ([]file, error) {
	if w.segment != "" && !w.reels && !w.exports {
		w.clips = true
	}
	all := !w.clips && !w.reels && !w.exports
	var files []file
	if all || w.clips {
		clips, err := clipFiles(made, w.segment)
		if err != nil {
			return nil, err
		}
		files = append(files, clips...)
	}
	if all || w.reels {
		files = append(files, reelFiles(made.reels)...)
	}
	if all || w.exports {
		files = append(files, exportFiles(made.state)...)
	}
	return files, nil
}

func clipFiles(made outputs, segment string) ([]file, error) {
	labels := map[string]string{}
	for _, s := range made.segments {
		labels[s.ID] = s.Label
	}
	if _, known := labels[segment]; segment != "" && !known {
		return nil, fmt.Errorf("the event has no segment %q: the first column of segments lists them", segment)
	}
	c := clockOf(made.state.Timeline)
	var files []file
	for i := range made.clips {
		clip := &made.clips[i]
		if clip.Location == nil || segment != "" && clip.SegmentID != segment {
			continue
		}
		name := clipName(c, clip, labels[clip.SegmentID])
		f := file{kind: "clips", name: path.Join("clips", name+".mp4"), location: *clip.Location}
		if clip.Proof != nil {
			f.size = clip.Proof.Bytes
		}
		files = append(files, f)
		if clip.Thumbnail != nil {
			files = append(files, file{kind: "clips", name: path.Join("clips", name+".jpg"), location: *clip.Thumbnail})
		}
	}
	return files, nil
}

// clipName begins with the clip's time code, so that names sort by time.
func clipName(c clock, clip *api.Clip, label string) string {
	at := strings.NewReplacer(":", "-", ";", "-", ".", "-").Replace(c.at(clip.In))
	name := fmt.Sprintf("%s_%s_%s-t%d", at, clip.SegmentID, clip.Variant, clip.Track)
	if slug := slugOf(label); slug != "" {
		name += "_" + slug
	}
	return name
}

// slugOf is a label as part of a file's name, on every system.
func slugOf(label string) string {
	const longest = 40
	var out []rune
	for _, r := range label {
		switch {
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			out = append(out, unicode.ToLower(r))
		case len(out) > 0 && out[len(out)-1] != '-':
			out = append(out, '-')
		}
		if len(out) == longest {
			break
		}
	}
	return strings.Trim(string(out), "-")
}

func reelFiles(replays []namedReplay) []file {
	var files []file
	for _, r := range replays {
		for _, reel := range r.state.Outputs {
			if reel.Location == nil {
				continue
			}
			name := path.Join("reels", r.name+"_"+reel.Resolution)
			f := file{kind: "reels", name: name + ".mp4", location: *reel.Location}
			if reel.Proof != nil {
				f.size = reel.Proof.Bytes
			}
			files = append(files, f)
			if reel.Thumbnail != nil {
				files = append(files, file{kind: "reels", name: name + ".jpg", location: *reel.Thumbnail})
			}
		}
	}
	return files
}

func exportFiles(state api.EventState) []file {
	var files []file
	for _, location := range append([]string{value(state.ExportLocation)}, state.EdlLocations...) {
		if location != "" {
			files = append(files, file{kind: "exports", name: path.Join("exports", path.Base(location)), location: location})
		}
	}
	return files
}
