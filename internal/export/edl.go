// SPDX-License-Identifier: Apache-2.0

package export

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/mre-operator/mre-operator/internal/media/timecode"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

const (
	// maxEdits is what the three digits of an edit number can say.
	maxEdits = 999
	// maxTitle is the longest title that editors keep whole.
	maxTitle = 70
	// reel is the reel name of an auxiliary source: one that is not on tape.
	reel = "AX"
)

// ErrNotExpressible is wrapped by every error of EDL. It says that the Event
// has no list in this form, and trying again does not help.
var ErrNotExpressible = errors.New("cannot be written as a CMX 3600 list")

// edlRates are the frame rates for which editors know a time code count.
// 24000/1001 is counted as 24.
var edlRates = map[timeline.Rational]bool{
	{Num: 24000, Den: 1001}: true, {Num: 24, Den: 1}: true, {Num: 25, Den: 1}: true,
	{Num: 30000, Den: 1001}: true, {Num: 30, Den: 1}: true, {Num: 50, Den: 1}: true,
	{Num: 60000, Den: 1001}: true, {Num: 60, Den: 1}: true,
}

// EDL writes the complete segments of an Event as a CMX 3600 edit decision
// list for one audio track (1-based), one cut after the other.
//
// The optimizer's marks are used where there are some. Source time code counts
// from 00:00:00:00 at the Event's first frame, in frames of the video itself
// (0 to 49 at 50 frames a second), drop-frame at 29.97 and 59.94. Out points
// are exclusive, and every record-in is the record-out before it.
func EDL(e Event, track int32) (string, error) {
	rate := timeline.Rational{Num: e.Timeline.Rate.Num, Den: e.Timeline.Rate.Den}
	if !rate.Valid() {
		return "", fmt.Errorf("event %s %w: its source was never opened, so it has no frame rate",
			e.Plan.Event.Name, ErrNotExpressible)
	}
	rate = rate.Reduce()
	if !edlRates[rate] {
		return "", fmt.Errorf("event %s %w: there is no time code for %s frames a second; use the JSON export",
			e.Plan.Event.Name, ErrNotExpressible, rate)
	}
	channels := "V"
	if len(e.Timeline.AudioTracks) > 0 {
		channels = "B"
		if !hasTrack(e, track) {
			return "", fmt.Errorf("event %s %w: it has no audio track %d, only 1 to %d", e.Plan.Event.Name,
				ErrNotExpressible, track, len(e.Timeline.AudioTracks))
		}
	}
	drop := timecode.DropFrame(rate)
	mode := "NON-DROP FRAME"
	if drop {
		mode = "DROP FRAME"
	}
	label := func(frame int64) string { return timecode.Format(frame, rate, drop) }

	var out strings.Builder
	fmt.Fprintf(&out, "TITLE: %s\nFCM: %s\n", title(e.Plan.Event.Name), mode)
	clip := clipName(e.Plan.Source.FileURL)
	day := framesPerDay(rate)
	var edits, record int64
	for _, s := range e.segmentsByStart() {
		if s.Out == nil {
			continue
		}
		in, outFrame := s.In.Frame, s.Out.Frame
		if i, o, found := optimizedFor(s, track); found {
			in, outFrame = i.Frame, o.Frame
		}
		// A list cannot hold a cut without frames.
		if outFrame <= in {
			continue
		}
		length := outFrame - in
		if outFrame > day || record+length > day {
			return "", fmt.Errorf("event %s %w: segment %s lies beyond 24 hours, where time code starts again; use "+
				"the JSON export", e.Plan.Event.Name, ErrNotExpressible, s.ID)
		}
		edits++
		if edits > maxEdits {
			return "", fmt.Errorf("event %s %w: it has more than %d segments, the most that a list holds; use the JSON export",
				e.Plan.Event.Name, ErrNotExpressible, maxEdits)
		}
		fmt.Fprintf(&out, "\n%03d  %-8s %-5s C        %s %s %s %s\n* FROM CLIP NAME: %s\n",
			edits, reel, channels, label(in), label(outFrame), label(record), label(record+length), clip)
		record += length
	}
	return out.String(), nil
}

func hasTrack(e Event, track int32) bool {
	for _, a := range e.Timeline.AudioTracks {
		if a.Track == track {
			return true
		}
	}
	return false
}

// framesPerDay is the number of time code labels in 24 hours.
func framesPerDay(rate timeline.Rational) int64 {
	fps := timecode.Nominal(rate)
	if !timecode.DropFrame(rate) {
		return 24 * 3600 * fps
	}
	// Drop-frame leaves out fps/15 labels in nine of ten minutes.
	return 24 * 6 * (600*fps - 9*(fps/15))
}

func title(name string) string {
	name = ascii(name)
	return name[:min(len(name), maxTitle)]
}

// clipName is the file's name, as an editor looks for it. The query of a web
// address is left out, as it may hold a signature; in a key of a bucket a
// question mark is a letter like any other.
func clipName(address string) string {
	name, inBucket := strings.CutPrefix(address, "s3://")
	if !inBucket {
		name, _, _ = strings.Cut(address, "?")
		if u, err := url.Parse(address); err == nil && u.Path != "" {
			name = u.Path
		}
	}
	return oneLine(path.Base(name))
}

// oneLine replaces what would end a line, or is no text at all. A comment of a
// list may hold any other letter: the lists are UTF-8.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, s)
}

// ascii replaces what the title of a list cannot hold.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '_'
		}
		return r
	}, s)
}
