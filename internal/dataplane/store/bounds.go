// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// attributesJSON writes attributes; field names their owner when they are refused.
func attributesJSON(field string, attributes map[string]any) (string, error) {
	body, err := api.AttributesJSON(attributes)
	if err != nil {
		return "", invalid("%s.%v", field, err)
	}
	return body, nil
}

// near refuses a time that has nothing to do with what a run looked at. It also
// keeps arithmetic on times from overflowing.
func near(field string, us, from, to int64) error {
	if us < from-api.MaxAstrayMicros || us > to+api.MaxAstrayMicros {
		return invalid("%s is %d µs, more than %d minutes away from what the run looked at, %d µs to %d µs; times count "+
			"in microseconds from the start of the Event",
			field, us, api.MaxAstrayMicros/microsPerSecond/60, from, to)
	}
	return nil
}

// short is text of others within a number of bytes, whole characters only, such
// as it is stored.
func short(s string, most int) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
	if len(s) <= most {
		return s
	}
	for most > 0 && !utf8.RuneStart(s[most]) {
		most--
	}
	return s[:most]
}

// nth names an item of a list in a message.
func nth(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }
