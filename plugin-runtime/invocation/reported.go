// SPDX-License-Identifier: Apache-2.0

package invocation

import (
	"fmt"
	"maps"

	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

// ParseReported reads results as MRE plugins report them. Its error names the place and says what is wrong.
func ParseReported(class api.PlanPluginClass, list []any) ([]Reported, error) {
	out := make([]Reported, 0, len(list))
	for i, v := range list {
		one, err := parseOne(class, v)
		if err != nil {
			return nil, fmt.Errorf("Results[%d]: %w", i, err) //nolint:staticcheck // It begins with the member's name.
		}
		out = append(out, one)
	}
	return out, nil
}

func parseOne(class api.PlanPluginClass, v any) (Reported, error) {
	fields, ok := v.(map[string]any)
	if !ok {
		return Reported{}, fmt.Errorf("is %s, not an object with Start", describe(v))
	}
	r := Reported{Fields: maps.Clone(fields)}
	delete(r.Fields, "Start")
	delete(r.Fields, "End")
	start, err := Millis(fields["Start"])
	if err != nil {
		return Reported{}, fmt.Errorf("Start %w", err) //nolint:staticcheck // Start is the member's name
	}
	r.StartMillis = start
	if end := fields["End"]; end != nil {
		ms, err := Millis(end)
		if err != nil {
			return Reported{}, fmt.Errorf("End %w", err) //nolint:staticcheck // End is the member's name
		}
		r.EndMillis = &ms
	}
	if class == api.PlanPluginClassLabeler {
		if _, ok := fields["LabelCode"].(string); !ok {
			return Reported{}, fmt.Errorf("LabelCode is %s; a Labeler sets it to a text other than %q, such as "+
				"\"Succeeded\", or nothing is labelled",
				describe(fields["LabelCode"]), NotAttempted)
		}
	}
	return r, nil
}

// NotAttempted is the code that MRE's segments have until an Optimizer or a Labeler sets another.
const NotAttempted = "Not Attempted"

// rowColumns are what MRE's rows have besides a plugin's own attributes. A plugin cannot set them.
var rowColumns = map[string]bool{
	"PK": true, "ProgramEvent": true, "ProgramEventPluginName": true, "Program": true, "Event": true, "ProfileName": true,
	"ChunkSize": true, "ProcessingFrameRate": true, "ExecutionId": true, "PluginName": true, "PluginClass": true,
	"ModelEndpoint": true, "Filename": true, "ChunkNumber": true, "Location": true, "AudioTrack": true,
	"Start": true, "End": true,
}

// segmentColumns are what the rows of segments have besides; others than their segmenter fill them.
var segmentColumns = map[string]bool{
	"OptoStart": true, "OptoEnd": true, "OptoStartCode": true, "OptoEndCode": true, "LabelCode": true,
	"OriginalClipStatus": true, "OriginalClipLocation": true, "OptimizedClipStatus": true, "OptimizedClipLocation": true,
	"OriginalThumbnailLocation": true, "OptimizedThumbnailLocation": true, "NonOptoChunkNumber": true,
}

// Column says whether a name is one that MRE's rows have themselves, so that a plugin's attribute of that name is
// overwritten.
func Column(class api.PlanPluginClass, name string) bool {
	return rowColumns[name] || class == api.PlanPluginClassSegmenter && segmentColumns[name]
}

// attributes are a result's own members.
func attributes(class api.PlanPluginClass, r Reported) map[string]any {
	out := make(map[string]any, len(r.Fields))
	for name, v := range r.Fields {
		if !Column(class, name) {
			out[name] = v
		}
	}
	return out
}
