// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
)

var now0 = time.Date(2026, 6, 1, 14, 0, 0, 0, time.UTC)

func TestCompilePlan(t *testing.T) {
	scenesWithModel := makePlugin(scenes, mrev1.ClassFeaturer, "scene-change", withModels("m"), func(p *mrev1.Plugin) {
		p.Generation = 7
		p.Annotations = map[string]string{mrev1.AnnotationMREName: "DetectSceneChange"}
		p.Spec.Outputs = []mrev1.PluginOutput{{Name: "Zoom"}}
	})
	plugins := append(usualPlugins()[1:], scenesWithModel)
	cat := catalogueOf([]*mrev1.Model{makeModel("m", mrev1.ClassFeaturer)}, plugins...)
	profile := makeProfile(func(p *mrev1.Profile) {
		p.Spec.Segmenter = useWith(moment, `{"postRollSeconds": 9}`)
		u := use(scenes)
		u.Model = &mrev1.LocalReference{Name: "m"}
		p.Spec.Featurers = featurers(u)
	})
	got, err := cat.compilePlan(makeEvent(), profile)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	byName := map[string]api.PlanPlugin{}
	for _, p := range got.Plugins {
		order = append(order, p.Name)
		byName[p.Name] = p
	}
	if want := []string{scenes, peaks, moment, label, snapTo}; !slices.Equal(order, want) {
		t.Errorf("plugins in the order %v, want %v", order, want)
	}
	if d := cmp.Diff(map[string]any{"preRollSeconds": 4.0, "postRollSeconds": 9.0},
		byName[moment].Configuration); d != "" {
		t.Errorf("merged configuration (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{peaks}, byName[moment].DependsOn); d != "" {
		t.Errorf("dependsOn (-want +got):\n%s", d)
	}
	if byName[label].DependsOn == nil || byName[label].Configuration == nil || byName[snapTo].Outputs == nil {
		t.Error("lists and maps must be empty rather than null on the wire")
	}
	if byName[peaks].LookbackChunks < 1 {
		t.Error("audio-peaks needs the sound before its chunk")
	}
	s := byName[scenes]
	if ptr.Deref(s.Model, "") != "https://model.example.com/m" ||
		s.Generation != 7 || !slices.Contains(s.Outputs, "Zoom") {
		t.Errorf("scenes compiled to %+v", s)
	}
	if s.NameInMRE() != "DetectSceneChange" || got.NameHere("DetectSceneChange") != scenes ||
		byName[peaks].MREName != nil {
		t.Errorf("in MRE, scenes is %q", s.NameInMRE())
	}
	if got.SegmentOverlap != nil {
		t.Error("the default for overlaps stands in the plan, so that plans of before have another hash")
	}
	profile.Spec.SegmentOverlap = mrev1.OverlapAllow
	if got, err = cat.compilePlan(makeEvent(), profile); err != nil ||
		ptr.Deref(got.SegmentOverlap, "") != api.PlanSegmentOverlapAllow {
		t.Errorf("overlaps that are allowed are not in the plan: %v, %v", got.SegmentOverlap, err)
	}
	if got.UnitMicros != 5_000_000 || got.ChunkSeconds != 20 || got.DrainTimeoutSeconds != 1800 {
		t.Errorf("timing %d %d %d", got.UnitMicros, got.ChunkSeconds, got.DrainTimeoutSeconds)
	}
	if got.Segmenter != moment || ptr.Deref(got.Optimizer, "") != snapTo || ptr.Deref(got.Labeler, "") != label {
		t.Error("roles are wrong")
	}
	if !got.Event.Start.Equal(now0) {
		t.Errorf("start %v, want the creation time", got.Event.Start)
	}
}

func TestCompileContainers(t *testing.T) {
	crowd := makeContainer("crowd", mrev1.ClassFeaturer, inPool("gpu"), commanded("crowd"))
	withModels("triton")(crowd)
	crowd.Spec.Prompts = []mrev1.PromptReference{{Name: "describe", ConfigMap: "prompts"}}
	crowd.Spec.Outputs = []mrev1.PluginOutput{{Name: "Peak", Description: "true on a peak"}, {Name: "Level"}}
	plugins := append(usualPlugins(), crowd,
		makeContainer("faces", mrev1.ClassFeaturer, func(c *mrev1.ContainerRuntime) {
			c.Protocol, c.StartTimeoutSeconds = "", 0
		}))
	server := makeServer("triton", mrev1.ClassFeaturer,
		mrev1.OpenInferenceModel{Service: &mrev1.ModelService{Name: "triton", Port: 8000}, ModelName: "crowd-v3"})
	profile := makeProfile(func(p *mrev1.Profile) {
		p.Spec.Featurers = featurers(use("crowd"), use("faces"))
		p.Spec.Featurers[0].Model = &mrev1.LocalReference{Name: "triton"}
		p.Spec.ProcessingFrameRate = "30000/1001"
		p.Spec.Variables = []mrev1.Variable{{Name: "Score", Value: new("0")},
			{Name: "Team"}, {Name: "Place", Value: new("Here")}}
	})
	event := makeEvent(func(e *mrev1.Event) {
		e.Spec.Variables = []mrev1.Variable{{Name: "Team", Value: new("Home")}, {Name: "Cup", Value: new("Open")}}
	})
	cat := catalogueOf([]*mrev1.Model{server}, plugins...)
	if f := cat.checkProfile(profile); f != nil {
		t.Fatalf("refused: %+v", *f)
	}
	plan, err := cat.compilePlan(event, profile)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(&api.Rational{Num: 30000, Den: 1001}, plan.ProcessingFrameRate); d != "" {
		t.Errorf("frame rate (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]string{"Score": "0", "Team": "Home", "Place": "Here", "Cup": "Open"},
		plan.Variables); d != "" {
		t.Errorf("variables (-want +got):\n%s", d)
	}
	if ptr.Deref(plan.TimecodeSource, "") != "NOT_EMBEDDED" {
		t.Errorf("time code from %v", plan.TimecodeSource)
	}
	revision, err := revisionOf(kindPlugin, crowd, crowd.Spec)
	if err != nil {
		t.Fatal(err)
	}
	want := api.PlanPlugin{
		Name: "crowd", Class: "Featurer", MediaType: "Video", Configuration: map[string]any{}, DependsOn: []string{},
		Container: &api.PlanContainer{Pool: "gpu", Protocol: "LambdaRuntime", StartTimeoutSeconds: 300, Warm: new(true)},
		Outputs:   []string{"Level", "Peak"}, OutputDescriptions: map[string]string{"Peak": "true on a peak"},
		Model: new("http://triton.default.svc:8000"), ModelName: new("crowd-v3"),
		ModelProtocol:  new(api.PlanPluginModelProtocolOpenInference),
		Prompts:        []api.PlanPrompt{{Name: "describe", ConfigMap: "prompts"}},
		TimeoutSeconds: 60, MaxAttempts: 3, OnFailure: "Skip", Generation: 1, Revision: &revision.Name,
	}
	if d := cmp.Diff(want, plan.Plugins[0]); d != "" {
		t.Errorf("crowd (-want +got):\n%s", d)
	}
	faces := &api.PlanContainer{Protocol: "LambdaRuntime", StartTimeoutSeconds: 300}
	if d := cmp.Diff(faces, plan.Plugins[1].Container); d != "" {
		t.Errorf("faces (-want +got):\n%s", d)
	}
	if plan.Plugins[1].Outputs == nil || plan.Plugins[1].Model != nil {
		t.Errorf("faces compiled to %+v", plan.Plugins[1])
	}
	if plan.Plugins[2].Container != nil || plan.Plugins[2].Builtin == "" {
		t.Errorf("a built-in compiled to %+v", plan.Plugins[2])
	}
	if none, err := cat.compilePlan(makeEvent(), makeProfile()); err != nil ||
		none.Variables != nil || none.ProcessingFrameRate.Num != 5 {
		t.Errorf("a Profile that says nothing: %v, %v, %v", none.Variables, none.ProcessingFrameRate, err)
	}
}

func TestModelEndpoint(t *testing.T) {
	for name, tc := range map[string]struct {
		model    *mrev1.Model
		server   string
		protocol api.PlanPluginModelProtocol
		address  string
	}{
		"as it stands": {makeModel("m", mrev1.ClassFeaturer), "m",
			api.PlanPluginModelProtocolPlain, "https://model.example.com/m"},
		"a URL": {makeServer("m", mrev1.ClassFeaturer,
			mrev1.OpenInferenceModel{URL: "https://kserve.example.com/crowd/"}), "m",
			api.PlanPluginModelProtocolOpenInference, "https://kserve.example.com/crowd"},
		"a Service": {makeServer("m", mrev1.ClassFeaturer,
			mrev1.OpenInferenceModel{Service: &mrev1.ModelService{Name: "s", Port: 8000}}), "m",
			api.PlanPluginModelProtocolOpenInference, "http://s.default.svc:8000"},
		"the usual port": {makeServer("m", mrev1.ClassFeaturer,
			mrev1.OpenInferenceModel{Service: &mrev1.ModelService{Name: "s"}, ModelName: "x"}),
			"x", api.PlanPluginModelProtocolOpenInference, "http://s.default.svc:80"},
	} {
		if server, protocol, address := modelEndpoint(tc.model); server != tc.server ||
			protocol != tc.protocol || address != tc.address {
			t.Errorf("%s: %s by %s at %s, want %s by %s at %s", name, server, protocol,
				address, tc.server, tc.protocol, tc.address)
		}
	}
}

func TestPlanHash(t *testing.T) {
	compile := func(e *mrev1.Event, p *mrev1.Profile, plugins []*mrev1.Plugin) string {
		t.Helper()
		plan, err := catalogueOf(nil, plugins...).compilePlan(e, p)
		if err != nil {
			t.Fatal(err)
		}
		return plan.Hash
	}
	base := compile(makeEvent(), makeProfile(), usualPlugins())
	if len(base) != 64 {
		t.Fatalf("hash %q", base)
	}
	for range 5 {
		if again := compile(makeEvent(), makeProfile(), usualPlugins()); again != base {
			t.Fatalf("the same objects gave %s and %s", base, again)
		}
	}
	reordered := makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter = useWith(moment, `{"b": 1, "a": 2}`) })
	same := makeProfile(func(p *mrev1.Profile) { p.Spec.Segmenter = useWith(moment, `{"a":2,"b":1}`) })
	if compile(makeEvent(), reordered, usualPlugins()) != compile(makeEvent(), same, usualPlugins()) {
		t.Error("the order of keys changes the hash")
	}
	for name, other := range map[string]string{
		"start": compile(makeEvent(func(e *mrev1.Event) { e.Spec.Start = new(metav1.NewTime(now0.Add(time.Hour))) }),
			makeProfile(), usualPlugins()),
		"chunk": compile(makeEvent(), makeProfile(func(p *mrev1.Profile) { p.Spec.ChunkSeconds = 6 }), usualPlugins()),
		"clips": compile(makeEvent(func(e *mrev1.Event) { e.Spec.Clips.Original = mrev1.Skip }),
			makeProfile(), usualPlugins()),
		"frames": compile(makeEvent(), makeProfile(func(p *mrev1.Profile) {
			p.Spec.ProcessingFrameRate = "25"
		}), usualPlugins()),
		"variables": compile(makeEvent(func(e *mrev1.Event) { e.Spec.Variables = []mrev1.Variable{{Name: "A"}} }),
			makeProfile(), usualPlugins()),
		"event": compile(makeEvent(func(e *mrev1.Event) { e.UID = "other" }), makeProfile(), usualPlugins()),
	} {
		if other == base {
			t.Errorf("%s does not change the hash", name)
		}
	}
}

func TestCompilePlanPolicies(t *testing.T) {
	plugins := append(usualPlugins(), makePlugin("crowd", mrev1.ClassFeaturer, "audio-peaks", onAudio,
		func(p *mrev1.Plugin) {
			p.Spec.Policy.OnFailure = mrev1.FailureFailEvent
		}))
	for _, p := range plugins {
		if p.Name == snapTo {
			onAudio(p)
		}
	}
	cat := catalogueOf(nil, plugins...)
	profile := makeProfile(func(p *mrev1.Profile) {
		p.Spec.Featurers = featurers(use("crowd"), use(scenes))
		p.Spec.Featurers[0].BeforeSegmenter = new(true)
		p.Spec.Processing.GapTimeoutSeconds = 7
	})
	plan, err := cat.compilePlan(makeEvent(), profile)
	if err != nil {
		t.Fatal(err)
	}
	if plan.GapTimeoutSeconds != 7 {
		t.Errorf("gap time-out %d", plan.GapTimeoutSeconds)
	}
	for _, p := range plan.Plugins {
		if want := p.Name == "crowd"; p.BeforeSegmenter != want {
			t.Errorf("%s: beforeSegmenter %v", p.Name, p.BeforeSegmenter)
		}
		want := api.PlanPluginOnFailureSkip
		if p.Name == "crowd" {
			want = api.PlanPluginOnFailureFailEvent
		}
		if p.OnFailure != want {
			t.Errorf("%s: onFailure %s", p.Name, p.OnFailure)
		}
		if p.Name == snapTo && p.MediaType != api.PlanPluginMediaTypeAudio {
			t.Errorf("the optimizer looks at %s", p.MediaType)
		}
	}
	if f := cat.checkProfile(profile); f != nil {
		t.Errorf("refused: %+v", *f)
	}
	if plan, err = catalogueOf(nil, usualPlugins()...).compilePlan(makeEvent(), makeProfile()); err != nil ||
		plan.GapTimeoutSeconds != 60 {
		t.Errorf("gap time-out of a Profile without one: %d, %v", plan.GapTimeoutSeconds, err)
	}
}

func TestOptimizedClipsNeedAnOptimizer(t *testing.T) {
	plan, err := catalogueOf(nil, usualPlugins()...).compilePlan(makeEvent(), makeProfile(func(p *mrev1.Profile) {
		p.Spec.Optimizer = nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	if plan.Clips.Optimized || !plan.Clips.Original || !plan.Clips.Thumbnails {
		t.Errorf("clips %+v", plan.Clips)
	}
}

func TestChannelsOfClips(t *testing.T) {
	cat := catalogueOf(nil, usualPlugins()...)
	var hashes []string
	for _, c := range []struct {
		channels mrev1.AudioChannels
		want     *api.AudioChannels
	}{{"", nil}, {mrev1.AudioStereo, nil}, {mrev1.AudioSource, new(api.AudioChannelsSource)}} {
		plan, err := cat.compilePlan(makeEvent(func(e *mrev1.Event) { e.Spec.Audio.Channels = c.channels }), makeProfile())
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, plan.AudioChannels); d != "" {
			t.Errorf("%q: %s", c.channels, d)
		}
		hashes = append(hashes, plan.Hash)
	}
	if hashes[0] != hashes[1] || hashes[1] == hashes[2] {
		t.Errorf("hashes %v", hashes)
	}
}

func TestSteps(t *testing.T) {
	for name, tc := range map[string]struct {
		profile *mrev1.Profile
		plugins []*mrev1.Plugin
		want    [][]string
	}{
		"usual": {makeProfile(), usualPlugins(), [][]string{{peaks, scenes}, {moment}, {label, snapTo}}},
		"a featurer that is waited for": {
			makeProfile(func(p *mrev1.Profile) {
				p.Spec.Optimizer, p.Spec.Labeler = nil, nil
				p.Spec.Featurers = featurers(use("b"), use("c"))
				p.Spec.Featurers[0].BeforeSegmenter = new(true)
			}),
			[]*mrev1.Plugin{
				makePlugin(moment, mrev1.ClassSegmenter, "key-moment"),
				makePlugin("a", mrev1.ClassFeaturer, "scene-change"),
				makePlugin("b", mrev1.ClassFeaturer, "scene-change", dependsOn("a")),
				makePlugin("c", mrev1.ClassFeaturer, "scene-change", dependsOn("a")),
			},
			[][]string{{"a"}, {"b", "c"}, {moment}},
		},
		"chain": {
			makeProfile(func(p *mrev1.Profile) { p.Spec.Optimizer, p.Spec.Labeler = nil, nil }),
			[]*mrev1.Plugin{
				makePlugin(moment, mrev1.ClassSegmenter, "key-moment", dependsOn("b")),
				makePlugin("b", mrev1.ClassFeaturer, "scene-change", dependsOn("a")),
				makePlugin("a", mrev1.ClassFeaturer, "scene-change"),
			},
			[][]string{{"a"}, {"b"}, {moment}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(tc.want, catalogueOf(nil, tc.plugins...).steps(tc.profile)); d != "" {
				t.Errorf("steps (-want +got):\n%s", d)
			}
		})
	}
}

func TestDependents(t *testing.T) {
	cat := catalogueOf(nil,
		makePlugin("a", mrev1.ClassFeaturer, "scene-change"),
		makePlugin("b", mrev1.ClassFeaturer, "scene-change", dependsOn("a")),
		makePlugin("c", mrev1.ClassFeaturer, "scene-change", dependsOn("b")),
		makePlugin("d", mrev1.ClassFeaturer, "scene-change", dependsOn("gone")),
	)
	for name, want := range map[string][]string{"a": {"b", "c"}, "b": {"c"}, "c": nil, "gone": {"d"}} {
		if d := cmp.Diff(want, cat.dependents(name)); d != "" {
			t.Errorf("dependents of %s (-want +got):\n%s", name, d)
		}
	}
}

// TestDependenciesKeepTheirOrder: MRE's plugins read the first name that they depend on, so the order that people
// wrote must come out, and another order is another plan.
func TestDependenciesKeepTheirOrder(t *testing.T) {
	compiled := func(names ...string) api.Plan {
		plugins := append(usualPlugins(), makePlugin("another", mrev1.ClassFeaturer, "scene-change"))
		for _, p := range plugins {
			if p.Name == moment {
				p.Spec.DependsOn = references(names...)
			}
		}
		plan, err := catalogueOf(nil, plugins...).compilePlan(makeEvent(), makeProfile())
		if err != nil {
			t.Fatal(err)
		}
		return plan
	}
	hashes := map[string]bool{}
	for _, want := range [][]string{{scenes, peaks, "another"}, {"another", scenes, peaks}} {
		plan := compiled(want...)
		hashes[plan.Hash] = true
		for _, p := range plan.Plugins {
			if p.Name == moment && !slices.Equal(p.DependsOn, want) {
				t.Errorf("dependsOn is %v, want %v", p.DependsOn, want)
			}
		}
	}
	if len(hashes) != 2 {
		t.Error("plans that differ in the order of dependencies have one hash")
	}
}
