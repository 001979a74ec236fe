// SPDX-License-Identifier: Apache-2.0

package ffmpeg

import (
	"errors"
	"fmt"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
)

// Kinds of failure. Their texts are meant for the status of an Event.
var (
	ErrNotFound  = errors.New("the source does not exist: check the URL or key (HTTP 404 or no such file)")
	ErrForbidden = errors.New("the source may not be read: check the credentials, or whether the signed URL " +
		"has expired (HTTP 401 or 403)")
	ErrUnreachable = errors.New("the source cannot be reached: check host, port and network policy")
	ErrEmpty       = errors.New("the source is empty: it has no bytes or no frames")
	ErrCorrupt     = errors.New("the source is not media that FFmpeg can read, or it is cut off or damaged")
	ErrNoVideo     = errors.New("the source has no video stream: an Event needs one")
	ErrNoDecoder   = errors.New("no decoder here knows the source's codec")
	ErrNoSpace     = errors.New("no space left on the scratch volume: give the pod a larger one")
	// ErrNotSeekable is a server without range requests, and a file that cannot do without.
	ErrNotSeekable = errors.New("the source's server cannot seek, as it serves no parts of a file (HTTP " +
		"range requests), and this file cannot be read without: its index is at its end; serve it from " +
		"a server that can, or move the index to its front (ffmpeg -i IN -c copy -movflags +faststart OUT)")
	ErrNotConvertible = errors.New("the picture or the sound of the source has, or changes to, a form that cannot be " +
		"converted: its layout is unknown, or its parameters change in mid-stream")
)

// Error is a failed run.
type Error struct {
	Tool string
	// Kind is one of the Err values, or nil when the cause is not known.
	Kind error
	// Said is what the program wrote, redacted and shortened.
	Said string
	// Cause is the error of the process: its exit status.
	Cause error
}

// Error gives the kind first and the program's own last words after it.
func (e *Error) Error() string {
	last := lastLines(e.Said, 3)
	switch {
	case e.Kind != nil && last != "":
		return fmt.Sprintf("%v (%s said: %s)", e.Kind, e.Tool, last)
	case e.Kind != nil:
		return e.Kind.Error()
	case last != "":
		return fmt.Sprintf("%s failed: %v: %s", e.Tool, e.Cause, last)
	}
	return fmt.Sprintf("%s failed: %v", e.Tool, e.Cause)
}

// Unwrap lets errors.Is find the kind and the cause.
func (e *Error) Unwrap() []error {
	var out []error
	for _, err := range []error{e.Kind, e.Cause} {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}

// Killed reports whether a program was ended by a signal: what it said before,
// and what it wrote, says nothing about the source.
func Killed(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	return ok && !exit.Exited()
}

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "; ")
}

// signs maps what FFmpeg prints to kinds; the first that matches wins.
var signs = []struct {
	text string
	kind error
}{
	{"Server returned 404", ErrNotFound},
	{"HTTP error 404", ErrNotFound},
	{"No such file or directory", ErrNotFound},
	{"Server returned 403", ErrForbidden},
	{"Server returned 401", ErrForbidden},
	{"HTTP error 403", ErrForbidden},
	{"HTTP error 401", ErrForbidden},
	{"Permission denied", ErrForbidden},
	{"Connection refused", ErrUnreachable},
	{"Connection timed out", ErrUnreachable},
	{"Connection reset", ErrUnreachable},
	{"Failed to resolve hostname", ErrUnreachable},
	{"Network is unreachable", ErrUnreachable},
	{"No route to host", ErrUnreachable},
	{"Server returned 5", ErrUnreachable},
	{"HTTP error 5", ErrUnreachable},
	{"No space left on device", ErrNoSpace},
	// What damaged packets leave behind in the log is no cause of these.
	{"Decoder (codec", ErrNoDecoder},
	{"Error reinitializing filters", ErrNotConvertible},
	{"Failed to inject frame into filter network", ErrNotConvertible},
	{"matches no streams", ErrNoVideo},
	{"does not contain any stream", ErrNoVideo},
	// A read beyond the end of what the server has: the file is cut off, or it has no first byte.
	{"HTTP error 416", ErrCorrupt},
	{"moov atom not found", ErrCorrupt},
	{"Invalid data found when processing input", ErrCorrupt},
	{"End of file", ErrEmpty},
}

func explain(tool string, cause error, said string, feedErr error) error {
	e := &Error{Tool: tool, Said: said, Cause: cause}
	for _, s := range signs {
		if strings.Contains(said, s.text) {
			e.Kind = s.kind
			break
		}
	}
	if feedErr != nil {
		// What the program says of an input that broke off is nothing of the source.
		return fmt.Errorf("feed %s: %w (%s)", tool, feedErr, e.Error())
	}
	return e
}

var urlPattern = regexp.MustCompile(`[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'"<>]+`)

// Redact takes user names, passwords, queries and fragments out of every URL
// in a text: presigned URLs and stream keys are secrets.
func Redact(s string) string {
	return urlPattern.ReplaceAllStringFunc(s, func(raw string) string {
		trimmed := strings.TrimRight(raw, ".,:;)")
		u, err := url.Parse(trimmed)
		if err != nil {
			scheme, _, _ := strings.Cut(trimmed, "://")
			return scheme + "://REDACTED"
		}
		out := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
		text := out.String()
		if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			text += "?REDACTED"
		}
		return text + raw[len(trimmed):]
	})
}
