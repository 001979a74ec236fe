// SPDX-License-Identifier: Apache-2.0

package store

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// What a plugin may put into its rows, besides the API's limits.
const (
	// maxAttributes of one result, segment or label, as bytes of JSON.
	maxAttributes = 256 << 10
	// maxDepth of attributes: how often objects and lists may lie in each other.
	maxDepth = 32
)

// attributesJSON writes attributes; field names their owner when they are
// refused.
func attributesJSON(field string, attributes map[string]any) (string, error) {
	if attributes == nil {
		return "{}", nil
	}
	if deeper(attributes, maxDepth) {
		return "", invalid("%s.attributes nest more than %d levels deep; write them flatter", field, maxDepth)
	}
	body, err := toJSON(attributes)
	if err != nil {
		return "", err
	}
	if len(body) > maxAttributes {
		return "", invalid("%s.attributes take %d bytes as JSON; at most %d are kept", field, len(body), maxAttributes)
	}
	return body, nil
}

// deeper says whether objects and lists nest more than some levels deep.
func deeper(v any, levels int) bool {
	switch x := v.(type) {
	case map[string]any:
		for _, member := range x {
			if levels == 0 || deeper(member, levels-1) {
				return true
			}
		}
		return levels == 0
	case []any:
		for _, item := range x {
			if levels == 0 || deeper(item, levels-1) {
				return true
			}
		}
		return levels == 0
	}
	return false
}

// near refuses a time that has nothing to do with what a run looked at. It also
// keeps arithmetic on times from overflowing.
func near(field string, us, from, to int64) error {
	if us < from-api.MaxAstrayMicros || us > to+api.MaxAstrayMicros {
		return invalid("%s is %d µs, more than %d minutes away from what the run looked at, %d µs to %d µs; times count in microseconds from the start of the Event",
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
