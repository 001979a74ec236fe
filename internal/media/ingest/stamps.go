// SPDX-License-Identifier: Apache-2.0

package ingest

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"

	"github.com/mre-operator/mre-operator/internal/media/probe"
)

// stamp is the time of a decoded picture; missing where it has none.
type stamp struct {
	ticks   int64
	missing bool
}

// stampLines reads the stamps that FFmpeg's metadata filter prints, one before
// each picture: "frame:12   pts:43200   pts_time:0.48". Other lines are the
// picture's metadata.
type stampLines struct {
	in     *bufio.Scanner
	peeked *stamp
}

// next returns the next stamp; not ok at the end.
func (l *stampLines) next() (s stamp, ok bool, err error) {
	s, ok, err = l.peek()
	l.peeked = nil
	return s, ok, err
}

// peek returns the stamp that comes next. It is printed when the picture before
// it has been read.
func (l *stampLines) peek() (s stamp, ok bool, err error) {
	if l.peeked != nil {
		return *l.peeked, true, nil
	}
	for l.in.Scan() {
		_, rest, found := strings.Cut(l.in.Text(), "pts:")
		if !found || !strings.HasPrefix(l.in.Text(), "frame:") {
			continue
		}
		word, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		if s.missing = word == "NOPTS"; !s.missing {
			if s.ticks, err = strconv.ParseInt(word, 10, 64); err != nil {
				return stamp{}, false, fmt.Errorf("read the stamps of the decoded pictures: %w", err)
			}
			s.ticks += probe.OffsetTicks
		}
		l.peeked = &s
		return s, true, nil
	}
	if err := l.in.Err(); err != nil {
		return stamp{}, false, fmt.Errorf("read the stamps of the decoded pictures: %w", err)
	}
	return stamp{}, false, nil
}
