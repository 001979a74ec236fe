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
	goodInference = `
kind: Model
spec:
  pluginClass: Featurer
  openInference:
    service: {name: triton, port: 8000}
    modelName: crowd`
	goodContainer = `
kind: Plugin
spec:
  class: Featurer
  runtime:
    container:
      image: registry.example.com/crowd@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef
      command: [python3, -m, crowd]
      pool: gpu
      resources: {limits: {nvidia.com/gpu: 1, memory: 4Gi}}
      env:
      - {name: LOG_LEVEL, value: debug}
      - {name: TOKEN, valueFrom: {secretKeyRef: {name: crowd, key: token}}}
      sharedMemory: 1Gi
      temporary: 4Gi
      weights:
      - {name: base, mountPath: /weights/base, persistentVolumeClaim: {name: weights}}
      - {name: tuned, mountPath: /weights/tuned, image: {reference: registry.example.com/tuned:v3}}
      egress:
      - {to: [{ipBlock: {cidr: 192.0.2.0/24}}], ports: [{port: 443}]}
  prompts: [{name: describe, configMap: prompts.describe}]
  models: [{name: crowd}]`
	goodPools = goodProfile + `
  processingFrameRate: 30000/1001
  variables: [{name: Score, value: "0"}, {name: Last_Team}]
  processing:
    pools:
    - {name: gpu, minWorkers: 1, maxWorkers: 2, podTemplate: {runtimeClassName: nvidia}}
    podTemplate:
      nodeSelector: {disk: fast}
      tolerations: [{key: gpu, operator: Exists}]
      priorityClassName: media
      imagePullSecrets: [{name: registry}]
      resources: {requests: {cpu: "1"}}`
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
	goodVariables = goodEvent + `
  variables: [{name: Team, value: Home}]`
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
		Entry("a Plugin in a container", goodContainer), Entry("a Model behind the Open Inference Protocol", goodInference),
		Entry("a Profile with pools", goodPools), Entry("an Event with variables", goodVariables),
	)

	variable := func(name, value string) map[string]any { return map[string]any{"name": name, "value": value} }
	weights := func(path string) map[string]any {
		return map[string]any{"name": "w" + fmt.Sprint(len(path)),
			"mountPath": path, "persistentVolumeClaim": named("weights")}
	}
	prompt := func(name, configMap string) map[string]any {
		return map[string]any{"name": name, "configMap": configMap}
	}

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
		Entry("a Segmenter that looks at audio", "spec.mediaType", goodPlugin,
			"spec.class", "Segmenter", "spec.mediaType", "Audio"),
		Entry("a Plugin without a runtime", "spec.runtime", goodPlugin, "spec.runtime", nil),
		Entry("a Plugin with an empty runtime", "spec.runtime", goodPlugin, "spec.runtime", map[string]any{}),
		Entry("a built-in without a name", "spec.runtime.builtin.name", goodPlugin, "spec.runtime.builtin.name", ""),
		Entry("a Plugin that depends on itself", "spec.dependsOn", goodPlugin, "spec.dependsOn", list(named("sample"))),
		Entry("a dependency named twice", "spec.dependsOn[1]", goodPlugin, "spec.dependsOn", list(named("a"), named("a"))),
		Entry("a dependency whose name no object has", "spec.dependsOn[0].name", goodPlugin,
			"spec.dependsOn", list(named("Crowd Noise"))),
		Entry("a time-out of nothing", "spec.policy.timeoutSeconds", goodPlugin, "spec.policy.timeoutSeconds", int64(0)),
		Entry("a Labeler that looks at audio", "spec.mediaType", goodPlugin,
			"spec.class", "Labeler", "spec.mediaType", "Audio"),
		Entry("an unknown failure policy", "spec.policy.onFailure", goodPlugin, "spec.policy.onFailure", "Panic"),
		Entry("more dependencies than a plugin may have", "spec.dependsOn", goodPlugin, "spec.dependsOn", many(17)),
		Entry("more Models than a plugin may have", "spec.models", goodPlugin, "spec.models", many(17)),
		Entry("an output named twice", "spec.outputs[1]", goodPlugin, "spec.outputs", list(named("A"), named("A"))),
		Entry("a built-in and something else", "spec.runtime", goodPlugin,
			"spec.runtime.container", map[string]any{"image": "x"}),
		Entry("too many attempts", "spec.policy.maxAttempts", goodPlugin, "spec.policy.maxAttempts", int64(21)),
		Entry("an output with a space in its name", "spec.outputs[0].name",
			goodPlugin, "spec.outputs", list(named("Crowd Peak"))),
		Entry("a configuration that is a list", "spec.configuration", goodPlugin, "spec.configuration", list("a")),
		Entry("a field that does not exist", "spec.colour", goodPlugin, "spec.colour", "red"),
		Entry("a Plugin's name of 41 characters", "metadata.name", goodPlugin, "metadata.name",
			strings.Repeat("a", 41), "metadata.generateName", nil),
		Entry("a container without an image", "spec.runtime.container.image",
			goodContainer, "spec.runtime.container.image", nil),
		Entry("an image that is empty", "spec.runtime.container.image", goodContainer, "spec.runtime.container.image", ""),
		Entry("a protocol that nobody speaks", "spec.runtime.container.protocol",
			goodContainer, "spec.runtime.container.protocol", "gRPC"),
		Entry("Exec without a command", "spec.runtime.container.command", goodContainer,
			"spec.runtime.container.protocol", "Exec", "spec.runtime.container.command", nil),
		Entry("a command of nothing", "spec.runtime.container.command",
			goodContainer, "spec.runtime.container.command", []any{}),
		Entry("a pull policy in other words", "spec.runtime.container.imagePullPolicy", goodContainer,
			"spec.runtime.container.imagePullPolicy", "Sometimes"),
		Entry("a pool with a capital", "spec.runtime.container.pool", goodContainer, "spec.runtime.container.pool", "GPU"),
		Entry("a pool's name of 33 characters", "spec.runtime.container.pool", goodContainer,
			"spec.runtime.container.pool", strings.Repeat("p", 33)),
		Entry("a start of two hours", "spec.runtime.container.startTimeoutSeconds", goodContainer,
			"spec.runtime.container.startTimeoutSeconds", int64(7200)),
		Entry("memory in words", "spec.runtime.container.resources", goodContainer,
			"spec.runtime.container.resources", map[string]any{"limits": map[string]any{"memory": "much"}}),
		Entry("devices by claims", "spec.runtime.container.resources", goodContainer,
			"spec.runtime.container.resources", map[string]any{"claims": list(named("gpu"))}),
		Entry("a variable of Lambda's", "spec.runtime.container.env", goodContainer,
			"spec.runtime.container.env", list(variable("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1"))),
		Entry("an endpoint of AWS", "spec.runtime.container.env", goodContainer,
			"spec.runtime.container.env", list(variable("AWS_ENDPOINT_URL_S3", "http://elsewhere"))),
		Entry("a key of AWS", "spec.runtime.container.env", goodContainer,
			"spec.runtime.container.env", list(variable("LOG_LEVEL", "info"), variable("AWS_SECRET_ACCESS_KEY", "secret"))),
		Entry("a region of AWS", "spec.runtime.container.env", goodContainer,
			"spec.runtime.container.env", list(variable("AWS_REGION", "eu-west-1"))),
		Entry("a variable of the operator's", "spec.runtime.container.env", goodContainer,
			"spec.runtime.container.env", list(variable("MRE_API", "x"))),
		Entry("another home", "spec.runtime.container.env", goodContainer,
			"spec.runtime.container.env", list(variable("HOME", "/root"))),
		Entry("a variable set twice", "spec.runtime.container.env[1]", goodContainer, "spec.runtime.container.env",
			list(variable("A", "1"), variable("A", "2"))),
		Entry("shared memory of nothing", "spec.runtime.container.sharedMemory", goodContainer,
			"spec.runtime.container.sharedMemory", "0"),
		Entry("a /tmp of less than nothing", "spec.runtime.container.temporary", goodContainer,
			"spec.runtime.container.temporary", int64(-1)),
		Entry("weights of two kinds", "spec.runtime.container.weights[0]", goodContainer,
			"spec.runtime.container.weights", list(map[string]any{
				"name": "w", "mountPath": "/w", "persistentVolumeClaim": named("w"), "image": map[string]any{"reference": "w"}})),
		Entry("weights of no kind", "spec.runtime.container.weights[0]", goodContainer, "spec.runtime.container.weights",
			list(map[string]any{"name": "w", "mountPath": "/w"})),
		Entry("weights that are nowhere", "spec.runtime.container.weights[0].mountPath", goodContainer,
			"spec.runtime.container.weights", list(map[string]any{"name": "w", "persistentVolumeClaim": named("w")})),
		Entry("weights at a relative path", "spec.runtime.container.weights[0].mountPath", goodContainer,
			"spec.runtime.container.weights", list(weights("weights"))),
		Entry("weights at a path that climbs", "spec.runtime.container.weights[0].mountPath", goodContainer,
			"spec.runtime.container.weights", list(weights("/w/../mre"))),
		Entry("weights in place of the root", "spec.runtime.container.weights[0].mountPath", goodContainer,
			"spec.runtime.container.weights", list(weights("/"))),
		Entry("weights in place of the supervisor", "spec.runtime.container.weights[0].mountPath", goodContainer,
			"spec.runtime.container.weights", list(weights("/mre/bin"))),
		Entry("weights in /tmp", "spec.runtime.container.weights[0].mountPath", goodContainer,
			"spec.runtime.container.weights", list(weights("/tmp/w"))),
		Entry("weights in place of secrets", "spec.runtime.container.weights[0].mountPath", goodContainer,
			"spec.runtime.container.weights", list(weights("/var/run/secrets"))),
		Entry("two weights at one path", "spec.runtime.container.weights", goodContainer, "spec.runtime.container.weights",
			list(weights("/w"), map[string]any{"name": "v", "mountPath": "/w", "persistentVolumeClaim": named("v")})),
		Entry("weights below others", "spec.runtime.container.weights", goodContainer,
			"spec.runtime.container.weights", list(weights("/w"), weights("/w/fine"))),
		Entry("nine weights", "spec.runtime.container.weights", goodContainer,
			"spec.runtime.container.weights", func() (all []any) {
				for i := range 9 {
					all = append(all, map[string]any{"name": fmt.Sprint("w", i),
						"mountPath": fmt.Sprint("/w", i), "persistentVolumeClaim": named("w")})
				}
				return all
			}()),
		Entry("a prompt named twice", "spec.prompts[1]", goodContainer,
			"spec.prompts", list(prompt("p", "a"), prompt("p", "b"))),
		Entry("a prompt without a ConfigMap", "spec.prompts[0].configMap", goodContainer, "spec.prompts", list(named("p"))),
		Entry("a ConfigMap whose name no object has", "spec.prompts[0].configMap", goodContainer,
			"spec.prompts", list(prompt("p", "My Prompts"))),
		Entry("a Model of two kinds", "spec", goodInference, "spec.endpoint", map[string]any{"value": "x"}),
		Entry("a server without an address", "spec.openInference", goodInference, "spec.openInference.service", nil),
		Entry("a server with two addresses", "spec.openInference", goodInference,
			"spec.openInference.url", "http://triton:8000"),
		Entry("a server over gRPC", "spec.openInference.url", goodInference, "spec.openInference",
			map[string]any{"url": "grpc://triton:8001"}),
		Entry("a server with a password", "spec.openInference.url", goodInference, "spec.openInference",
			map[string]any{"url": "http://me:secret@triton:8000"}),
		Entry("a server with a query", "spec.openInference.url", goodInference, "spec.openInference",
			map[string]any{"url": "http://triton:8000/?key=1"}),
		Entry("a Service without a name", "spec.openInference.service.name", goodInference,
			"spec.openInference.service", map[string]any{"port": int64(80)}),
		Entry("a port that does not exist", "spec.openInference.service.port", goodInference,
			"spec.openInference.service.port", int64(65536)),
		Entry("frames in words", "spec.processingFrameRate", goodPools, "spec.processingFrameRate", "all"),
		Entry("no frames", "spec.processingFrameRate", goodPools, "spec.processingFrameRate", "0"),
		Entry("frames over nothing", "spec.processingFrameRate", goodPools, "spec.processingFrameRate", "25/0"),
		Entry("a variable named twice in a Profile", "spec.variables[1]", goodPools, "spec.variables",
			list(variable("A", "1"), variable("A", "2"))),
		Entry("a variable with a space", "spec.variables[0].name", goodPools,
			"spec.variables", list(variable("Last Team", ""))),
		Entry("a variable of 4097 characters", "spec.variables[0].value", goodPools, "spec.variables",
			list(variable("A", strings.Repeat("v", 4097)))),
		Entry("a pool named twice", "spec.processing.pools[1]", goodPools,
			"spec.processing.pools", list(named("a"), named("a"))),
		Entry("a pool without a name", "spec.processing.pools[0].name", goodPools, "spec.processing.pools",
			list(map[string]any{"minWorkers": int64(1)})),
		Entry("a pool with fewer workers at most than at least", "spec.processing.pools[0].maxWorkers", goodPools,
			"spec.processing.pools", list(map[string]any{"name": "a", "minWorkers": int64(3), "maxWorkers": int64(2)})),
		Entry("nine pools", "spec.processing.pools", goodPools, "spec.processing.pools", many(9)),
		Entry("a priority class whose name no object has", "spec.processing.podTemplate.priorityClassName", goodPools,
			"spec.processing.podTemplate.priorityClassName", "Very High"),
		Entry("a runtime class whose name no object has", "spec.processing.podTemplate.runtimeClassName", goodPools,
			"spec.processing.podTemplate.runtimeClassName", "gVisor!"),
		Entry("a toleration of the API's own kind, wrongly spelled", "spec.processing.podTemplate.tolerations", goodPools,
			"spec.processing.podTemplate.tolerations", list(map[string]any{"key": "gpu", "opertor": "Exists"})),
		Entry("an Event's variable named twice", "spec.variables[1]", goodVariables, "spec.variables",
			list(variable("A", "1"), variable("A", "2"))),
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
		Entry("a recycling of less than nothing", "spec.processing.recycleAfterChunks", goodProfile,
			"spec.processing.recycleAfterChunks", int64(-1)),
		Entry("a gap of no time", "spec.processing.gapTimeoutSeconds", goodProfile,
			"spec.processing.gapTimeoutSeconds", int64(0)),
		Entry("a gap of a day", "spec.processing.gapTimeoutSeconds", goodProfile,
			"spec.processing.gapTimeoutSeconds", int64(86400)),
		Entry("a segmenter that is waited for by itself", "spec.segmenter.beforeSegmenter",
			goodProfile, "spec.segmenter.beforeSegmenter", true),
		Entry("a featurer that is waited for a little", "spec.featurers[0].beforeSegmenter", goodProfile, "spec.featurers",
			list(map[string]any{"plugin": named("a"), "beforeSegmenter": "a little"})),
		Entry("a featurer without a name", "spec.featurers[0].plugin.name", goodProfile, "spec.featurers",
			list(map[string]any{"plugin": map[string]any{}})),
		Entry("a drain of a second", "spec.processing.drainTimeoutSeconds", goodProfile,
			"spec.processing.drainTimeoutSeconds", int64(1)),
		Entry("an Event without a Profile", "spec.profileRef", goodEvent, "spec.profileRef", nil),
		Entry("an Event without a program", "spec.program", goodEvent, "spec.program", nil),
		Entry("an Event without a source", "spec.source", goodEvent, "spec.source", nil),
		Entry("an Event with an empty source", "spec.source", goodEvent, "spec.source", map[string]any{}),
		Entry("an Event that rests now and then", "spec.suspend", goodEvent, "spec.suspend", "sometimes"),
		Entry("an Event that is finished at a time", "spec.finish", goodEvent, "spec.finish", "2026-06-01T14:00:00Z"),
		Entry("a program of 129 characters", "spec.program", goodEvent, "spec.program", strings.Repeat("p", 129)),
		Entry("a URL of 3000 characters", "spec.source.file.url", goodEvent, "spec.source.file.url",
			"https://example.com/"+strings.Repeat("u", 3000)),
		Entry("a Profile whose name no object has", "spec.profileRef.name",
			goodEvent, "spec.profileRef.name", "Soccer Profile"),
		Entry("a source over FTP", "spec.source.file.url", goodEvent, "spec.source.file.url", "ftp://example.com/match.mp4"),
		Entry("a bucket without a key", "spec.source.file.url", goodEvent, "spec.source.file.url", "s3://bucket"),
		Entry("a source without a host", "spec.source.file.url", goodEvent, "spec.source.file.url", "https:///match.mp4"),
		Entry("a password in a URL", "spec.source.file.url", goodEvent, "spec.source.file.url",
			"https://me:secret@example.com/match.mp4"),
		Entry("an unknown clip policy", "spec.clips.original", goodEvent, "spec.clips.original", "Maybe"),
		Entry("channels that nobody knows", "spec.audio.channels", goodEvent, "spec.audio.channels", "Quad"),
		Entry("an unknown deletion policy", "spec.deletionPolicy", goodEvent, "spec.deletionPolicy", "Shred"),
		Entry("a start that is no time", "spec.start", goodEvent, "spec.start", "yesterday"),
		Entry("an Event's name with a dot", "metadata.name", goodEvent, "metadata.name",
			"final.2026", "metadata.generateName", nil),
		Entry("a Replay without an Event", "spec.eventRef", goodReplay, "spec.eventRef", nil),
		Entry("a Replay without a mode", "byDuration", goodReplay, "spec.select.byDuration", nil),
		Entry("a Replay without features", "spec.select.features", goodReplay, "spec.select.features", nil),
		Entry("a feature named twice", "spec.select.features", goodReplay, "spec.select.features",
			list(feature("p", "A", 1), feature("p", "A", 2))),
		Entry("a weight of 101", "spec.select.features[0].weight", goodReplay,
			"spec.select.features", list(feature("p", "A", 101))),
		Entry("a reel without length", "spec.select.byDuration.durationSeconds", goodReplay,
			"spec.select.byDuration.durationSeconds", int64(0)),
		Entry("a negative tolerance", "spec.select.byDuration.toleranceSeconds", goodReplay,
			"spec.select.byDuration.toleranceSeconds", int64(-1)),
		Entry("an unknown distribution", "spec.select.byDuration.distribution", goodReplay,
			"spec.select.byDuration.distribution", "Random"),
		Entry("audio track 0", "spec.audioTrack", goodReplay, "spec.audioTrack", int64(0)),
		Entry("a resolution in words", "spec.outputs.resolutions[0]", goodReplay,
			"spec.outputs.resolutions", list("full-hd")),
		Entry("an odd resolution", "spec.outputs.resolutions[0]", goodReplay, "spec.outputs.resolutions", list("1280x721")),
		Entry("a resolution asked for twice", "spec.outputs.resolutions[1]", goodReplay,
			"spec.outputs.resolutions", list("640x360", "640x360")),
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
		Expect(err.Error()).To(And(ContainSubstring(field),
			Or(ContainSubstring("immutable"), ContainSubstring("cannot be taken back"))))
	},
		Entry("a Plugin's class", "spec.class", goodPlugin, "spec.class", "Labeler"),
		Entry("an Event's Profile", "spec.profileRef", goodEvent, "spec.profileRef.name", "tennis"),
		Entry("an Event's source", "spec.source", goodEvent, "spec.source.file.url", "https://example.com/other.mp4"),
		Entry("an Event's start, once it is without one", "spec.start", goodEvent, "spec.start", "2026-06-01T14:00:00Z"),
		Entry("an Event's clips", "spec.clips", goodEvent, "spec.clips.original", "Skip"),
		Entry("an Event's channels", "spec.audio", goodEvent, "spec.audio.channels", "Source"),
		Entry("an Event's end", "spec.finish", finishedEvent, "spec.finish", false),
		Entry("an Event's end, by leaving it out", "spec.finish", finishedEvent, "spec.finish", nil),
		Entry("an Event's variables", "spec.variables", goodVariables, "spec.variables",
			list(map[string]any{"name": "Team", "value": "Away"})),
		Entry("an Event's variables, once it is without any", "spec.variables",
			goodEvent, "spec.variables", list(named("Team"))),
		Entry("an Event's variables, by leaving them out", "spec.variables", goodVariables, "spec.variables", nil),
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
