// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// maxProgram is a bound of the Event kind.
const maxProgram = 128

func (im *importer) event(d *document) (*mrev1.Event, error) {
	e := &mrev1.Event{
		TypeMeta:   metav1.TypeMeta{APIVersion: mrev1.GroupVersion.String(), Kind: "Event"},
		ObjectMeta: im.meta(d, kindEvent, eventKey(d)),
		Spec: mrev1.EventSpec{
			Program:    program(d),
			ProfileRef: mrev1.RevisionReference{Name: im.names.of(kindProfile, d.text("Profile"))},
			Variables:  variables(d),
		},
	}
	if start := d.text("Start"); start != "" {
		at, err := time.Parse(time.RFC3339, start)
		if err != nil {
			return nil, fmt.Errorf("the event's Start is %q; a time is written 2026-06-01T14:00:00Z", start)
		}
		e.Spec.Start = &metav1.Time{Time: at}
	}
	e.Spec.Clips = clips(d)
	if source := d.text("TimecodeSource"); source != "" && source != "NOT_EMBEDDED" {
		d.warn("TimecodeSource", "%s is left out: time codes count from the Event's first frame", source)
	}
	if d.fields["SourceVideoAuth"] != nil {
		d.get("SourceVideoAuth")
		d.warn("SourceVideoAuth", "is left out, as it is secret: name a URL that can be read without it")
	}
	if !source(d, e) {
		return nil, nil
	}
	return e, nil
}

// program is at most as long as ours may be.
func program(d *document) string {
	name := d.text("Program")
	if r := []rune(name); len(r) > maxProgram {
		name = string(r[:maxProgram])
		d.warn("Program", "is cut to %d characters", maxProgram)
	}
	return name
}

// source is where the media comes from. An Event without one cannot be, so it is left out.
func source(d *document, e *mrev1.Event) bool {
	for _, field := range []string{"Channel", "SourceVideoBucket"} {
		if value := d.text(field); value != "" {
			d.warn(field, "the event %q is left out: its media comes from %s %s, and an Event reads a file (SourceVideoUrl)",
				d.text("Name"), field, value)
			return false
		}
	}
	address := d.text("SourceVideoUrl")
	u, err := url.Parse(address)
	switch {
	case address == "":
		d.warn("SourceVideoUrl", "the event %q is left out: it names no media", d.text("Name"))
		return false
	// The address may hold a password: it is not repeated.
	case err != nil || !slices.Contains([]string{"http", "https", "s3"}, u.Scheme) || u.Host == "":
		d.warn("SourceVideoUrl",
			"the event %q is left out: an Event reads a file at s3://, https:// or http://", d.text("Name"))
		return false
	case u.User != nil:
		d.warn("SourceVideoUrl", "the event %q is left out: its address holds a user name or password", d.text("Name"))
		return false
	}
	e.Spec.Source.File = &mrev1.FileSource{URL: address}
	return true
}

func clips(d *document) mrev1.ClipsSpec {
	var c mrev1.ClipsSpec
	if wanted, ok := d.boolean("GenerateOrigClips"); ok && !wanted {
		c.Original = mrev1.Skip
	}
	if wanted, ok := d.boolean("GenerateOptoClips"); ok && !wanted {
		c.Optimized = mrev1.Skip
	}
	original, hasOriginal := d.boolean("GenerateOrigThumbNails")
	optimized, hasOptimized := d.boolean("GenerateOptoThumbNails")
	without := func(value, has bool) bool { return has && !value }
	switch {
	case without(original, hasOriginal) && without(optimized, hasOptimized):
		c.Thumbnails = mrev1.Skip
	case without(original, hasOriginal):
		d.warn("GenerateOrigThumbNails", "is left out: thumbnails are made for both kinds of clips or for none")
	case without(optimized, hasOptimized):
		d.warn("GenerateOptoThumbNails", "is left out: thumbnails are made for both kinds of clips or for none")
	}
	return c
}
