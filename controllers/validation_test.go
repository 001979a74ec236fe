// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Manifests that the API server takes. The bad ones below differ from them in one thing.
const (
	goodPlugin = `
kind: Plugin
spec:
  class: Featurer
  runtime: {builtin: {name: scene-change}}`
	goodModel = `
kind: Model
spec:
  pluginClass: Featurer
  endpoint: {value: "https://model.example.com"}`
	goodProfile = `
kind: Profile
spec:
  segmenter: {plugin: {name: moments}}`
	goodEvent = `
kind: Event
spec:
  program: Open
  profileRef: {name: soccer}
  source: {file: {url: "https://example.com/match.mp4"}}`
	finishedEvent = goodEvent + `
  finish: true`
	goodReplay = `
kind: Replay
spec:
  eventRef: {name: final}
  select:
    byDuration: {durationSeconds: 60}
    features: [{plugin: peaks, attribute: AudioPeak, weight: 80}]`
)

// manifest is a good manifest with changes: a path of keys and a value, or nil to remove the field.
func manifest(text string, changes ...any) *unstructured.Unstructured {
	GinkgoHelper()
	u := &unstructured.Unstructured{}
	Expect(yaml.Unmarshal([]byte(text), &u.Object)).To(Succeed())
	u.SetAPIVersion("mre.media/v1alpha1")
	if u.GetName() == "" {
		u.SetGenerateName("m-")
	}
	for i := 0; i < len(changes); i += 2 {
		path := strings.Split(changes[i].(string), ".")
		if changes[i+1] == nil {
			unstructured.RemoveNestedField(u.Object, path...)
			continue
		}
		Expect(unstructured.SetNestedField(u.Object, changes[i+1], path...)).To(Succeed())
	}
	return u
}

func list(items ...any) []any { return items }

// many are n names.
func many(n int) []any {
	var out []any
	for i := range n {
		out = append(out, named(fmt.Sprintf("n%d", i)))
	}
	return out
}

func named(name string) map[string]any { return map[string]any{"name": name} }

var _ = Describe("the API server", func() {
	create := func(ctx context.Context, u *unstructured.Unstructured) error {
		u.SetNamespace("default")
		if u.GetGenerateName() != "" {
			u.SetGenerateName("")
			u.SetName("sample")
		}
		return k8s.Create(ctx, u, client.DryRunAll, client.FieldValidation("Strict"))
	}

	DescribeTable("takes", func(ctx context.Context, text string) {
		Expect(create(ctx, manifest(text))).To(Succeed())
	},
		Entry("a Plugin", goodPlugin), Entry("a Model", goodModel), Entry("a Profile", goodProfile),
		Entry("an Event", goodEvent), Entry("a Replay", goodReplay),
	)

	feature := func(plugin, attribute string, weight int64) map[string]any {
		return map[string]any{"plugin": plugin, "attribute": attribute, "weight": weight}
	}
	DescribeTable("refuses and names the field", func(ctx context.Context, field, text string, changes ...any) {
		err := create(ctx, manifest(text, changes...))
		Expect(err).To(HaveOccurred())
		Expect(apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)).To(BeTrue(), "%v", err)
		Expect(err.Error()).To(ContainSubstring(field))
	},
		Entry("a Plugin without a class", "spec.class", goodPlugin, "spec.class", nil),
		Entry("a Plugin of MRE's class Classifier", "spec.class", goodPlugin, "spec.class", "Classifier"),
		Entry("a Plugin with an unknown media type", "spec.mediaType", goodPlugin, "spec.mediaType", "Smell"),
		Entry("a Segmenter that looks at audio", "spec.mediaType", goodPlugin, "spec.class", "Segmenter", "spec.mediaType", "Audio"),
		Entry("a Plugin without a runtime", "spec.runtime", goodPlugin, "spec.runtime", nil),
		Entry("a Plugin with an empty runtime", "spec.runtime", goodPlugin, "spec.runtime", map[string]any{}),
		Entry("a built-in without a name", "spec.runtime.builtin.name", goodPlugin, "spec.runtime.builtin.name", ""),
		Entry("a Plugin that depends on itself", "spec.dependsOn", goodPlugin, "spec.dependsOn", list(named("sample"))),
		Entry("a dependency named twice", "spec.dependsOn[1]", goodPlugin, "spec.dependsOn", list(named("a"), named("a"))),
		Entry("a dependency whose name no object has", "spec.dependsOn[0].name", goodPlugin, "spec.dependsOn", list(named("Crowd Noise"))),
		Entry("a time-out of nothing", "spec.policy.timeoutSeconds", goodPlugin, "spec.policy.timeoutSeconds", int64(0)),
		Entry("a Labeler that looks at audio", "spec.mediaType", goodPlugin, "spec.class", "Labeler", "spec.mediaType", "Audio"),
		Entry("an unknown failure policy", "spec.policy.onFailure", goodPlugin, "spec.policy.onFailure", "Panic"),
		Entry("more dependencies than a plugin may have", "spec.dependsOn", goodPlugin, "spec.dependsOn", many(17)),
		Entry("more Models than a plugin may have", "spec.models", goodPlugin, "spec.models", many(17)),
		Entry("an output named twice", "spec.outputs[1]", goodPlugin, "spec.outputs", list(named("A"), named("A"))),
		Entry("a built-in and something else", "spec.runtime", goodPlugin, "spec.runtime.container", map[string]any{"image": "x"}),
		Entry("too many attempts", "spec.policy.maxAttempts", goodPlugin, "spec.policy.maxAttempts", int64(21)),
		Entry("an output with a space in its name", "spec.outputs[0].name", goodPlugin, "spec.outputs", list(named("Crowd Peak"))),
		Entry("a configuration that is a list", "spec.configuration", goodPlugin, "spec.configuration", list("a")),
		Entry("a field that does not exist", "spec.colour", goodPlugin, "spec.colour", "red"),
		Entry("a Plugin's name of 41 characters", "metadata.name", goodPlugin, "metadata.name", strings.Repeat("a", 41), "metadata.generateName", nil),
		Entry("a Model without an endpoint", "endpoint", goodModel, "spec.endpoint", nil),
		Entry("a Model with an empty endpoint", "spec.endpoint.value", goodModel, "spec.endpoint.value", ""),
		Entry("a Model without a class", "spec.pluginClass", goodModel, "spec.pluginClass", nil),
		Entry("a Profile without a segmenter", "spec.segmenter", goodProfile, "spec.segmenter", nil),
		Entry("chunks of a second", "spec.chunkSeconds", goodProfile, "spec.chunkSeconds", int64(1)),
		Entry("chunks of an hour", "spec.chunkSeconds", goodProfile, "spec.chunkSeconds", int64(3600)),
		Entry("a fraction of a second", "spec.chunkSeconds", goodProfile, "spec.chunkSeconds", 6.5),
		Entry("segments without length", "spec.maxSegmentSeconds", goodProfile, "spec.maxSegmentSeconds", int64(0)),
		Entry("a featurer named twice", "spec.featurers", goodProfile, "spec.featurers",
			list(map[string]any{"plugin": named("a")}, map[string]any{"plugin": named("a")})),
		Entry("too many workers", "spec.processing.minWorkers", goodProfile, "spec.processing.minWorkers", int64(65)),
		Entry("no workers", "spec.processing.minWorkers", goodProfile, "spec.processing.minWorkers", int64(0)),
		Entry("fewer workers at most than at least", "spec.processing.maxWorkers", goodProfile,
			"spec.processing.minWorkers", int64(4), "spec.processing.maxWorkers", int64(3)),
		Entry("fewer renderers at most than at least", "spec.processing.maxRenderers", goodProfile,
			"spec.processing.minRenderers", int64(2), "spec.processing.maxRenderers", int64(1)),
		Entry("a hundred workers", "spec.processing.maxWorkers", goodProfile, "spec.processing.maxWorkers", int64(100)),
		Entry("a recycling of less than nothing", "spec.processing.recycleAfterChunks", goodProfile, "spec.processing.recycleAfterChunks", int64(-1)),
		Entry("a gap of no time", "spec.processing.gapTimeoutSeconds", goodProfile, "spec.processing.gapTimeoutSeconds", int64(0)),
		Entry("a gap of a day", "spec.processing.gapTimeoutSeconds", goodProfile, "spec.processing.gapTimeoutSeconds", int64(86400)),
		Entry("a segmenter that is waited for by itself", "spec.segmenter.beforeSegmenter", goodProfile, "spec.segmenter.beforeSegmenter", true),
		Entry("a featurer that is waited for a little", "spec.featurers[0].beforeSegmenter", goodProfile, "spec.featurers",
			list(map[string]any{"plugin": named("a"), "beforeSegmenter": "a little"})),
		Entry("a featurer without a name", "spec.featurers[0].plugin.name", goodProfile, "spec.featurers", list(map[string]any{"plugin": map[string]any{}})),
		Entry("a drain of a second", "spec.processing.drainTimeoutSeconds", goodProfile, "spec.processing.drainTimeoutSeconds", int64(1)),
		Entry("an Event without a Profile", "spec.profileRef", goodEvent, "spec.profileRef", nil),
		Entry("an Event without a program", "spec.program", goodEvent, "spec.program", nil),
		Entry("an Event without a source", "spec.source", goodEvent, "spec.source", nil),
		Entry("an Event with an empty source", "spec.source", goodEvent, "spec.source", map[string]any{}),
		Entry("an Event that rests now and then", "spec.suspend", goodEvent, "spec.suspend", "sometimes"),
		Entry("an Event that is finished at a time", "spec.finish", goodEvent, "spec.finish", "2026-06-01T14:00:00Z"),
		Entry("a program of 129 characters", "spec.program", goodEvent, "spec.program", strings.Repeat("p", 129)),
		Entry("a URL of 3000 characters", "spec.source.file.url", goodEvent, "spec.source.file.url", "https://example.com/"+strings.Repeat("u", 3000)),
		Entry("a Profile whose name no object has", "spec.profileRef.name", goodEvent, "spec.profileRef.name", "Soccer Profile"),
		Entry("a source over FTP", "spec.source.file.url", goodEvent, "spec.source.file.url", "ftp://example.com/match.mp4"),
		Entry("a bucket without a key", "spec.source.file.url", goodEvent, "spec.source.file.url", "s3://bucket"),
		Entry("a source without a host", "spec.source.file.url", goodEvent, "spec.source.file.url", "https:///match.mp4"),
		Entry("a password in a URL", "spec.source.file.url", goodEvent, "spec.source.file.url", "https://me:secret@example.com/match.mp4"),
		Entry("an unknown clip policy", "spec.clips.original", goodEvent, "spec.clips.original", "Maybe"),
		Entry("an unknown deletion policy", "spec.deletionPolicy", goodEvent, "spec.deletionPolicy", "Shred"),
		Entry("a start that is no time", "spec.start", goodEvent, "spec.start", "yesterday"),
		Entry("an Event's name with a dot", "metadata.name", goodEvent, "metadata.name", "final.2026", "metadata.generateName", nil),
		Entry("a Replay without an Event", "spec.eventRef", goodReplay, "spec.eventRef", nil),
		Entry("a Replay without a mode", "byDuration", goodReplay, "spec.select.byDuration", nil),
		Entry("a Replay without features", "spec.select.features", goodReplay, "spec.select.features", nil),
		Entry("a feature named twice", "spec.select.features", goodReplay, "spec.select.features", list(feature("p", "A", 1), feature("p", "A", 2))),
		Entry("a weight of 101", "spec.select.features[0].weight", goodReplay, "spec.select.features", list(feature("p", "A", 101))),
		Entry("a reel without length", "spec.select.byDuration.durationSeconds", goodReplay, "spec.select.byDuration.durationSeconds", int64(0)),
		Entry("a negative tolerance", "spec.select.byDuration.toleranceSeconds", goodReplay, "spec.select.byDuration.toleranceSeconds", int64(-1)),
		Entry("an unknown distribution", "spec.select.byDuration.distribution", goodReplay, "spec.select.byDuration.distribution", "Random"),
		Entry("audio track 0", "spec.audioTrack", goodReplay, "spec.audioTrack", int64(0)),
		Entry("a resolution in words", "spec.outputs.resolutions[0]", goodReplay, "spec.outputs.resolutions", list("full-hd")),
		Entry("an odd resolution", "spec.outputs.resolutions[0]", goodReplay, "spec.outputs.resolutions", list("1280x721")),
		Entry("a resolution asked for twice", "spec.outputs.resolutions[1]", goodReplay, "spec.outputs.resolutions", list("640x360", "640x360")),
	)

	DescribeTable("keeps what cannot change", func(ctx context.Context, field, text string, path string, value any) {
		u := manifest(text)
		u.SetNamespace(newNamespace(ctx))
		Expect(k8s.Create(ctx, u)).To(Succeed())
		changed := manifest(text, path, value)
		patch, err := changed.MarshalJSON()
		Expect(err).NotTo(HaveOccurred())
		var body map[string]any
		Expect(yaml.Unmarshal(patch, &body)).To(Succeed())
		delete(body, "metadata")
		before := u.DeepCopy()
		u.Object["spec"] = body["spec"]
		err = k8s.Patch(ctx, u, client.MergeFrom(before))
		Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
		Expect(err.Error()).To(And(ContainSubstring(field), Or(ContainSubstring("immutable"), ContainSubstring("cannot be taken back"))))
	},
		Entry("a Plugin's class", "spec.class", goodPlugin, "spec.class", "Labeler"),
		Entry("an Event's Profile", "spec.profileRef", goodEvent, "spec.profileRef.name", "tennis"),
		Entry("an Event's source", "spec.source", goodEvent, "spec.source.file.url", "https://example.com/other.mp4"),
		Entry("an Event's start, once it is without one", "spec.start", goodEvent, "spec.start", "2026-06-01T14:00:00Z"),
		Entry("an Event's clips", "spec.clips", goodEvent, "spec.clips.original", "Skip"),
		Entry("an Event's end", "spec.finish", finishedEvent, "spec.finish", false),
		Entry("an Event's end, by leaving it out", "spec.finish", finishedEvent, "spec.finish", nil),
		Entry("a Replay's Event", "spec.eventRef", goodReplay, "spec.eventRef.name", "other"),
	)

	It("fills in defaults", func(ctx context.Context) {
		u := manifest(goodProfile)
		u.SetNamespace(newNamespace(ctx))
		Expect(k8s.Create(ctx, u)).To(Succeed())
		workers, _, err := unstructured.NestedInt64(u.Object, "spec", "processing", "minWorkers")
		Expect(err).NotTo(HaveOccurred())
		Expect(workers).To(BeEquivalentTo(1))
	})
})
