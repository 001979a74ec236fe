// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"fmt"
	"math"
	"strconv"

	"github.com/mre-operator/mre-operator/internal/media/timeline"
)

// maxSeconds bounds times that plugins report: 30 years, far beyond any Event and far from an overflow.
const maxSeconds = 1e9

// Span is when something is, in the milliseconds to which MRE rounds its seconds.
type Span struct {
	StartMillis int64
	// EndMillis is nil where no end was reported.
	EndMillis *int64
}

// StartMicros is the start as the data plane counts.
func (s Span) StartMicros() int64 { return s.StartMillis * 1000 }

// Partial says that the end is not known yet: as in MRE, none or one equal to the start.
func (s Span) Partial() bool { return s.EndMillis == nil || *s.EndMillis <= s.StartMillis }

// Millis reads seconds, rounded as MRE does.
func Millis(v any) (int64, error) {
	n, ok := v.(float64)
	if !ok {
		return 0, fmt.Errorf("is %s, not a number of seconds", describe(v))
	}
	if math.IsNaN(n) || math.Abs(n) > maxSeconds {
		return 0, fmt.Errorf("of %s seconds lies beyond any Event", strconv.FormatFloat(n, 'g', -1, 64))
	}
	return int64(math.Round(n * 1000)), nil
}

// MillisOfMicros rounds the data plane's time to MRE's.
func MillisOfMicros(us int64) int64 { return timeline.MulDiv(us, 1, 1000) }

// Seconds writes a time as MRE does: rounded to 3 decimals, and whole numbers without any.
func Seconds(us int64) float64 { return SecondsOfMillis(MillisOfMicros(us)) }

// SecondsOfMillis is the same for milliseconds.
func SecondsOfMillis(ms int64) float64 { return float64(ms) / 1000 }

// clockTime writes a time of day as MRE does; it wraps after a day.
func clockTime(us int64) string {
	const day = 24 * 60 * 60 * 1000
	ms := (MillisOfMicros(us)%day + day) % day
	return fmt.Sprintf("%02d:%02d:%02d.%03d", ms/3_600_000, ms/60_000%60, ms/1000%60, ms%1000)
}

// describe names a JSON value in a message.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "absent"
	case string:
		if len(v) > 40 {
			v = v[:40] + "…"
		}
		return strconv.Quote(v)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	}
	return fmt.Sprint(v)
}
