// SPDX-License-Identifier: Apache-2.0

// Package keys names the objects of an Event. The names are relative to the
// bucket's prefix; who signs a URL or writes an s3:// location adds it.
//
// No key is a path prefix of another, because a POSIX object store keeps
// directories where S3 has names. What an attempt writes carries the attempt's
// number, so a worker that lost its lease can never touch the winner's object.
package keys

import (
	"fmt"
	"strings"
)

// Event is the prefix, with its slash, of everything an Event stores.
func Event(namespace, eventUID string) string {
	return namespace + "/" + eventUID + "/"
}

// Unit names a unit by epoch and unwrapped first PTS.
func Unit(namespace, eventUID string, epoch int32, firstTicks int64) string {
	return fmt.Sprintf("%sunits/%d/%013d.ts", Event(namespace, eventUID), epoch, firstTicks)
}

// ClipFile says which clip: a segment's marks of one version, cut with one
// audio track by one attempt.
type ClipFile struct {
	Segment     string
	Variant     string
	Track       int32
	MarkVersion int32
	Attempt     int32
}

// Clip names the MP4 and the JPEG of a clip.
func Clip(namespace, eventUID string, c ClipFile) (mp4, jpg string) {
	base := fmt.Sprintf("%sclips/%s/%s-t%d-m%d-a%d", Event(namespace, eventUID), c.Segment,
		c.Variant, c.Track, c.MarkVersion, c.Attempt)
	return base + ".mp4", base + ".jpg"
}

// planHashLength is how much of a plan's hash a key shows.
const planHashLength = 12

// Replay is the prefix, with its slash, of a Replay's reels.
func Replay(namespace, eventUID, replayUID string) string {
	return Event(namespace, eventUID) + "reels/" + replayUID + "/"
}

// Reel names the MP4 and the JPEG of a reel.
func Reel(namespace, eventUID, replayUID, planHash, output string, attempt int32) (mp4, jpg string) {
	base := fmt.Sprintf("%s%s/%s-a%d", Replay(namespace, eventUID, replayUID),
		planHash[:min(planHashLength, len(planHash))], output, attempt)
	return base + ".mp4", base + ".jpg"
}

// EventExport names the Event's JSON export.
func EventExport(namespace, eventUID string) string {
	return Event(namespace, eventUID) + "exports/event.json"
}

// EDLExport names the edit decision list of an audio track.
func EDLExport(namespace, eventUID string, track int32) string {
	return fmt.Sprintf("%sexports/track%d.edl", Event(namespace, eventUID), track)
}

// Retained names the list of what outlives a deleted Event.
func Retained(namespace, eventUID string) string {
	return Event(namespace, eventUID) + "retained.json"
}

// Owner tells whose object a key is: the namespace and Event UID in front.
func Owner(key string) (namespace, eventUID string, ok bool) {
	parts := strings.SplitN(key, "/", 3)
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return "", "", false
	}
	return parts[0], parts[1], true
}
