// SPDX-License-Identifier: Apache-2.0

package api

import (
	"encoding/json"
	"fmt"
)

// What a run of a plugin may publish. It is far more than any needs, and little enough that one that goes astray
// harms nobody. The data plane refuses the whole output of a run that goes beyond; agents refuse earlier, where the
// plugin hears of it.
const (
	// MaxResults of one run.
	MaxResults = 10_000
	// MaxAnnotations are the segments of earlier runs that one run may put attributes on.
	MaxAnnotations = 1000
	// MaxNotes of one run, on what became of its results, and MaxNote, the bytes of one.
	MaxNotes = 1000
	MaxNote  = 1024
	// MaxAstrayMicros is how far from what a run looked at its times may lie, in microseconds.
	MaxAstrayMicros = 600_000_000
	// MaxAttributesBytes of one result, segment or label, as bytes of JSON.
	MaxAttributesBytes = 256 << 10
	// MaxAttributesDepth of attributes: how often objects and lists may lie in each other.
	MaxAttributesDepth = 32
)

// AttributesJSON writes attributes. Its error goes on from the name of what they belong to.
func AttributesJSON(attributes map[string]any) (string, error) {
	if attributes == nil {
		return "{}", nil
	}
	if deeper(attributes, MaxAttributesDepth) {
		return "", fmt.Errorf("attributes nest more than %d levels deep; write them flatter", MaxAttributesDepth)
	}
	body, err := json.Marshal(attributes)
	if err != nil {
		return "", fmt.Errorf("attributes cannot be written as JSON: %w", err)
	}
	if len(body) > MaxAttributesBytes {
		return "", fmt.Errorf("attributes take %d bytes as JSON; at most %d are kept", len(body), MaxAttributesBytes)
	}
	return string(body), nil
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
