// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"unicode"
)

const (
	// maxName is what the kinds allow.
	maxName = 40
	// hashChars tell names apart that would be the same label.
	hashChars = 6
	maxLabel  = 63
)

// names turns MRE's names into ours, the same each time.
type names struct {
	// known are MRE's names by kind and by the label that they would have.
	known map[kind]map[string][]string
}

func newNames() names { return names{known: map[kind]map[string][]string{}} }

// learn makes a name known. All must be, before the first is asked for: names that would collide are all marked, so
// that none depends on the order of files.
func (n names) learn(k kind, original string) {
	if n.known[k] == nil {
		n.known[k] = map[string][]string{}
	}
	label := label(original)
	if !slices.Contains(n.known[k][label], original) {
		n.known[k][label] = append(n.known[k][label], original)
	}
}

func (n names) of(k kind, original string) string {
	l := label(original)
	if l != "" && len(l) <= maxName && len(n.known[k][l]) <= 1 {
		return l
	}
	sum := sha256.Sum256([]byte(original))
	mark := hex.EncodeToString(sum[:])[:hashChars]
	if l == "" {
		return "x-" + mark
	}
	return strings.TrimRight(l[:min(len(l), maxName-hashChars-1)], "-") + "-" + mark
}

// label is a name as a DNS label: words become small and joined by hyphens, so that DetectCameraScene is
// detect-camera-scene.
func label(original string) string {
	// What a name begins with in an Event's key is its Program, which is no part of the label.
	if _, name, ok := strings.Cut(original, eventSeparator); ok {
		original = name
	}
	var out []rune
	runes := []rune(original)
	for i, r := range runes {
		if r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			out = append(out, '-')
			continue
		}
		if unicode.IsUpper(r) && i > 0 {
			before := runes[i-1]
			beginsWord := i+1 < len(runes) && unicode.IsLower(runes[i+1])
			if unicode.IsLower(before) || unicode.IsDigit(before) || unicode.IsUpper(before) && beginsWord {
				out = append(out, '-')
			}
		}
		out = append(out, unicode.ToLower(r))
	}
	words := strings.FieldsFunc(string(out), func(r rune) bool { return r == '-' })
	return strings.Join(words, "-")
}

// eventSeparator joins Program and name, which together are an event's key.
const eventSeparator = "\x00"

// labelValue is a text as the value of a label.
func labelValue(s string) string {
	mapped := strings.Map(func(r rune) rune {
		if r <= unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_' || r == '.') {
			return r
		}
		return '-'
	}, s)
	return strings.Trim(mapped[:min(len(mapped), maxLabel)], "-_.")
}

// learnNames looks at every name before one is made.
func (im *importer) learnNames() {
	for _, d := range im.models {
		im.names.learn(kindModel, d.text("Name"))
	}
	for _, d := range im.plugins {
		im.pluginOf[d.text("Name")] = d
		im.names.learn(kindPlugin, d.text("Name"))
		for _, name := range d.texts("DependentPlugins") {
			im.names.learn(kindPlugin, name)
		}
		im.learnModels(d.objects("ModelEndpoints")...)
	}
	for _, d := range im.profiles {
		im.names.learn(kindProfile, d.text("Name"))
		for _, use := range uses(d) {
			im.names.learn(kindPlugin, use.text("Name"))
			im.learnModels(use.object("ModelEndpoint"))
			for _, dependent := range use.objects("DependentPlugins") {
				im.names.learn(kindPlugin, dependent.text("Name"))
				im.learnModels(dependent.object("ModelEndpoint"))
			}
		}
	}
	for _, d := range im.events {
		im.names.learn(kindEvent, eventKey(d))
		im.names.learn(kindProfile, d.text("Profile"))
	}
	for _, d := range im.prompts {
		im.promptNames[d.text("Name")] = true
		im.names.learn(kindPrompt, d.text("Name"))
	}
}

func (im *importer) learnModels(references ...*document) {
	for _, r := range references {
		if r != nil {
			im.names.learn(kindModel, r.text("Name"))
		}
	}
}

// uses are the places of a profile in which plugins stand.
func uses(d *document) []*document {
	var out []*document
	for _, class := range []string{"Classifier", "Optimizer", "Labeler"} {
		if use := d.object(class); use != nil {
			out = append(out, use)
		}
	}
	return append(out, d.objects("Featurers")...)
}

func eventKey(d *document) string { return d.text("Program") + eventSeparator + d.text("Name") }
