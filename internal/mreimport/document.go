// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Document is one JSON value and where it came from.
type Document struct {
	// Source is the file, with the place in it where it holds several.
	Source string
	// Value holds numbers as json.Number, so that none changes.
	Value any
}

// document remembers which of its fields were looked at: the others are what has no place in a manifest.
type document struct {
	Document
	kind   kind
	fields map[string]any
	seen   map[string]bool
	lambda *document
	im     *importer
}

// withoutMeaning are fields in which there is nothing to import: those that MRE sets itself, about its own
// installation; Archive, which MRE does not read; and those of a schedule, as an Event here ends with its media.
var withoutMeaning = []string{"Created", "LastModified", "Latest", "StateDefinition", "StateMachineArn",
	"FrameworkVersion", "Id", "Status", "Archive", "DurationMinutes", "BootstrapTimeInMinutes", "StopMediaLiveChannel"}

func (d *document) warn(field, format string, args ...any) {
	d.im.warn("%s: %s: %s", d.Source, field, fmt.Sprintf(format, args...))
}

// get looks at a field.
func (d *document) get(field string) any {
	d.seen[field] = true
	return d.fields[field]
}

func (d *document) text(field string) string {
	s, ok := d.get(field).(string)
	if !ok && d.fields[field] != nil {
		return fmt.Sprint(d.fields[field])
	}
	return s
}

func (d *document) texts(field string) []string {
	var out []string
	list, _ := d.get(field).([]any)
	for _, v := range list {
		if s, ok := v.(string); ok && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func (d *document) boolean(field string) (value, ok bool) {
	value, ok = d.get(field).(bool)
	return value, ok
}

// number is 0 for what is none.
func (d *document) number(field string) int64 {
	n, _ := d.get(field).(json.Number)
	i, _ := n.Int64()
	return i
}

// object is a field as a document of its own, whose warnings name the field. It is nil for what is none, or empty.
func (d *document) object(field string) *document {
	fields, _ := d.get(field).(map[string]any)
	return d.inner(field, fields)
}

// objects is a list of such fields.
func (d *document) objects(field string) []*document {
	var out []*document
	list, _ := d.get(field).([]any)
	for i, v := range list {
		fields, _ := v.(map[string]any)
		if inner := d.inner(fmt.Sprintf("%s[%d]", field, i), fields); inner != nil {
			out = append(out, inner)
		}
	}
	return out
}

func (d *document) inner(place string, fields map[string]any) *document {
	if len(fields) == 0 {
		return nil
	}
	return &document{Document: Document{Source: d.Source + " " + place}, fields: fields, seen: map[string]bool{}, im: d.im}
}

// leftovers warns of the fields that nobody looked at.
func (d *document) leftovers() {
	for _, field := range slices.Sorted(maps.Keys(d.fields)) {
		if !d.seen[field] && !slices.Contains(withoutMeaning, field) {
			d.warn(field, "is left out: it has no place in a manifest")
		}
	}
}
