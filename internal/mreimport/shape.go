// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// kind is what a document declares.
type kind string

const (
	kindPlugin  kind = "plugin"
	kindModel   kind = "model"
	kindProfile kind = "profile"
	kindEvent   kind = "event"
	kindPrompt  kind = "prompt"
)

// shapes are tried in order: a document is of the first kind all of whose fields it has.
var shapes = []struct {
	kind   kind
	fields []string
}{
	{kindPlugin, []string{"Name", "Class", "ExecutionType"}},
	{kindProfile, []string{"Name", "Classifier", "ChunkSize"}},
	{kindModel, []string{"Name", "Endpoint", "PluginClass"}},
	{kindPrompt, []string{"Name", "Template"}},
	{kindEvent, []string{"Name", "Program", "Profile"}},
}

// NotMRE is the error of a document that is none of MRE's.
type NotMRE struct{ Source string }

func (e *NotMRE) Error() string {
	var known []string
	for _, s := range shapes {
		known = append(known, fmt.Sprintf("a %s (%s)", s.kind, strings.Join(s.fields, ", ")))
	}
	return fmt.Sprintf("%s is none of MRE's documents: it has the fields of neither %s, nor MRE.Plugin "+
		"as in a sample's config.json",
		e.Source, strings.Join(known, ", "))
}

// sort puts a document where its kind belongs.
func (im *importer) sort(d Document) error {
	fields, ok := d.Value.(map[string]any)
	if !ok {
		return &NotMRE{d.Source}
	}
	doc := &document{Document: d, fields: fields, seen: map[string]bool{}, im: im}
	if wrapped, ok := fields["MRE"].(map[string]any); ok {
		plugin, ok := wrapped["Plugin"].(map[string]any)
		if !ok {
			return &NotMRE{d.Source}
		}
		doc.fields = plugin
		if lambda, ok := fields["Lambda"].(map[string]any); ok {
			doc.lambda = &document{Document: Document{Source: d.Source + " Lambda"},
				fields: lambda, seen: map[string]bool{}, im: im}
		}
	}
	for _, shape := range shapes {
		missing := slices.ContainsFunc(shape.fields, func(f string) bool { _, ok := doc.fields[f]; return !ok })
		if missing {
			continue
		}
		if doc.text("Name") == "" {
			return fmt.Errorf("%s: Name is empty or no text", d.Source)
		}
		doc.kind = shape.kind
		list := im.list(shape.kind)
		*list = append(*list, doc)
		return nil
	}
	return &NotMRE{d.Source}
}

func (im *importer) list(k kind) *[]*document {
	switch k {
	case kindPlugin:
		return &im.plugins
	case kindModel:
		return &im.models
	case kindProfile:
		return &im.profiles
	case kindPrompt:
		return &im.prompts
	}
	return &im.events
}

// newest keeps the newest version of each name. Our own revisions begin with it.
func (im *importer) newest(list *[]*document) {
	best := map[string]*document{}
	for _, d := range *list {
		name := d.text("Name")
		if b := best[name]; b == nil || versionNumber(d.version()) > versionNumber(b.version()) {
			best[name] = d
		}
	}
	*list = slices.DeleteFunc(*list, func(d *document) bool {
		b := best[d.text("Name")]
		if b != d {
			im.warn("%s: %s %q: version %s is left out, as %s has version %s", d.Source, d.kind,
				d.text("Name"), d.version(), b.Source, b.version())
		}
		return b != d
	})
}

// version of a document: v0 is MRE's name for the newest, whose number is in Latest. A body without one is the first.
func (d *document) version() string {
	v := d.text("Version")
	if v == "v0" {
		if n := d.number("Latest"); n > 0 {
			return "v" + strconv.FormatInt(n, 10)
		}
	}
	if versionNumber(v) == 0 {
		return "v1"
	}
	return v
}

func versionNumber(v string) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(v, "v"), 10, 64)
	if err != nil || !strings.HasPrefix(v, "v") {
		return 0
	}
	return n
}
