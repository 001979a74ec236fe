// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/utils/ptr"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
	"github.com/mre-operator/mre-operator/internal/dataplane/api"
	"github.com/mre-operator/mre-operator/internal/media/timeline"
	"github.com/mre-operator/mre-operator/plugin-runtime/builtin"
)

// Defaults that stand in where an object was stored before the field was there.
const (
	defaultGapTimeout          = 60
	defaultProcessingFrameRate = "5"
	defaultStartTimeout        = 300
)

// timecodeNotEmbedded is MRE's word for time code that counts from the first frame.
const timecodeNotEmbedded = "NOT_EMBEDDED"

// planSource says how the source is read. What is not asked for is absent, so that the hash of a plan does not change
// with what an Event can ask for.
func planSource(e *mrev1.Event) api.PlanSource {
	file := e.Spec.Source.File
	s := api.PlanSource{FileURL: file.URL, Programme: file.Programme}
	if file.Ingest == mrev1.IngestMezzanine {
		s.Ingest = new(api.PlanSourceIngestMezzanine)
	}
	if e.Spec.Picture.HDR == mrev1.HDRKeep {
		s.Hdr = new(api.PlanSourceHdrKeep)
	}
	for _, a := range file.Audio {
		s.Audio = append(s.Audio, api.PlanAudio{Stream: *a.Stream, Channels: append([]int32{}, a.Channels...)})
	}
	return s
}

// compilePlan copies an Event, its Profile and every Plugin that will run into one plan, which the Event
// keeps whatever is edited later. The Profile must have passed checkProfile. It is deterministic: the
// same objects give the same hash.
func (c *Catalogue) compilePlan(e *mrev1.Event, p *mrev1.Profile) (api.Plan, error) {
	start := e.CreationTimestamp.Time
	if e.Spec.Start != nil {
		start = e.Spec.Start.Time
	}
	plan := api.Plan{
		Event: api.PlanEvent{
			UID: string(e.UID), Namespace: e.Namespace, Name: e.Name,
			Program: e.Spec.Program, Profile: p.Name, Start: start.UTC(),
		},
		Source:              planSource(e),
		ChunkSeconds:        p.Spec.ChunkSeconds,
		UnitMicros:          timeline.NewUnitGrid(0, int64(p.Spec.ChunkSeconds)).PeriodMicros(),
		MaxSegmentSeconds:   p.Spec.MaxSegmentSeconds,
		GapTimeoutSeconds:   cmp.Or(p.Spec.Processing.GapTimeoutSeconds, defaultGapTimeout),
		DrainTimeoutSeconds: p.Spec.Processing.DrainTimeoutSeconds,
		Clips: api.PlanClips{
			Original:   e.Spec.Clips.Original != mrev1.Skip,
			Optimized:  e.Spec.Clips.Optimized != mrev1.Skip && p.Spec.Optimizer != nil,
			Thumbnails: e.Spec.Clips.Thumbnails != mrev1.Skip,
		},
		AudioChannels:  audioChannels(e),
		Segmenter:      p.Spec.Segmenter.Plugin.Name,
		Variables:      variablesOf(p, e),
		TimecodeSource: new(timecodeNotEmbedded),
	}
	rate, err := rationalOf(cmp.Or(p.Spec.ProcessingFrameRate, defaultProcessingFrameRate))
	if err != nil {
		return api.Plan{}, fmt.Errorf("compiling the plan: spec.processingFrameRate of Profile %s: %w", p.Name, err)
	}
	plan.ProcessingFrameRate = &rate
	if p.Spec.SegmentOverlap == mrev1.OverlapAllow {
		plan.SegmentOverlap = new(api.PlanSegmentOverlapAllow)
	}
	if p.Spec.Optimizer != nil {
		plan.Optimizer = &p.Spec.Optimizer.Plugin.Name
	}
	if p.Spec.Labeler != nil {
		plan.Labeler = &p.Spec.Labeler.Plugin.Name
	}
	c, finding := c.pinned(p)
	if finding != nil {
		return api.Plan{}, fmt.Errorf("compiling the plan: %s", finding.Message)
	}
	uses := map[string]*mrev1.PluginUse{}
	for _, r := range roles(p) {
		uses[r.use.Plugin.Name] = r.use
	}
	before := beforeSegmenter(p)
	for _, name := range c.closure(pluginNames(p)...) {
		compiled, err := c.compilePlugin(name, uses[name], p.Spec.ChunkSeconds)
		if err != nil {
			return api.Plan{}, err
		}
		compiled.BeforeSegmenter = before[name]
		plan.Plugins = append(plan.Plugins, compiled)
	}
	plan.Hash, err = planHash(plan)
	return plan, err
}

// audioChannels is absent for the default, so that plans of Events from before the field keep their hash.
func audioChannels(e *mrev1.Event) *api.AudioChannels {
	if e.Spec.Audio.Channels != mrev1.AudioSource {
		return nil
	}
	return new(api.AudioChannelsSource)
}

// compilePlugin merges a Plugin with its use in the Profile; use is nil for a mere dependency.
func (c *Catalogue) compilePlugin(name string, use *mrev1.PluginUse, chunkSeconds int32) (api.PlanPlugin, error) {
	p, ok := c.Plugins[name]
	if !ok {
		return api.PlanPlugin{}, fmt.Errorf("compiling the plan: Plugin %s not found", name)
	}
	if use == nil {
		use = &mrev1.PluginUse{}
	}
	configuration, err := mergeConfiguration(p.Spec.Configuration, use.Configuration)
	if err != nil {
		return api.PlanPlugin{}, fmt.Errorf("compiling the plan: configuration of Plugin %s: %w", name, err)
	}
	revision, err := revisionOf(kindPlugin, p, p.Spec)
	if err != nil {
		return api.PlanPlugin{}, fmt.Errorf("compiling the plan: %w", err)
	}
	out := api.PlanPlugin{
		Name:           name,
		Class:          api.PlanPluginClass(p.Spec.Class),
		MediaType:      api.PlanPluginMediaType(p.Spec.MediaType),
		Configuration:  configuration,
		DependsOn:      c.dependencies(name),
		TimeoutSeconds: p.Spec.Policy.TimeoutSeconds,
		MaxAttempts:    p.Spec.Policy.MaxAttempts,
		OnFailure:      api.PlanPluginOnFailure(cmp.Or(p.Spec.Policy.OnFailure, mrev1.FailureSkip)),
		Generation:     p.Generation,
		Revision:       new(revision.Name),
	}
	if original := p.Annotations[mrev1.AnnotationMREName]; original != "" && original != name {
		out.MREName = &original
	}
	for _, o := range p.Spec.Outputs {
		if o.Description != "" {
			if out.OutputDescriptions == nil {
				out.OutputDescriptions = map[string]string{}
			}
			out.OutputDescriptions[o.Name] = o.Description
		}
	}
	for _, prompt := range p.Spec.Prompts {
		out.Prompts = append(out.Prompts, api.PlanPrompt{Name: prompt.Name, ConfigMap: prompt.ConfigMap})
	}
	if use.Model != nil {
		m, ok := c.Models[use.Model.Name]
		if !ok {
			return api.PlanPlugin{}, fmt.Errorf("compiling the plan: Model %s not found", use.Model.Name)
		}
		name, protocol, address := modelEndpoint(m)
		out.ModelName, out.ModelProtocol, out.Model = &name, &protocol, &address
	}
	if container := p.Spec.Runtime.Container; container != nil {
		out.Container = compileContainer(container)
		out.Outputs = outputNames(p, nil)
		return out, nil
	}
	b, ok := builtin.Lookup(p.Spec.Runtime.Builtin.Name)
	if !ok {
		return api.PlanPlugin{}, fmt.Errorf("compiling the plan: there is no built-in plugin %q", p.Spec.Runtime.Builtin.Name)
	}
	out.Builtin = p.Spec.Runtime.Builtin.Name
	out.Outputs = outputNames(p, b.Outputs())
	out.LookbackChunks = b.LookbackChunks(configuration, chunkSeconds)
	return out, nil
}

// compileContainer is what the data plane and the agent need to know of a plugin's container. Its image and all else
// that makes it concerns nobody but Kubernetes.
func compileContainer(c *mrev1.ContainerRuntime) *api.PlanContainer {
	out := &api.PlanContainer{
		Pool:                c.Pool,
		Protocol:            api.PlanContainerProtocol(cmp.Or(c.Protocol, mrev1.ProtocolLambdaRuntime)),
		StartTimeoutSeconds: cmp.Or(c.StartTimeoutSeconds, defaultStartTimeout),
	}
	if len(c.Command) > 0 {
		out.Warm = new(true)
	}
	return out
}

// variablesOf are the context variables that an Event starts with: its Profile's, and its own in their place.
func variablesOf(p *mrev1.Profile, e *mrev1.Event) map[string]string {
	var out map[string]string
	for _, v := range slices.Concat(p.Spec.Variables, e.Spec.Variables) {
		if out == nil {
			out = map[string]string{}
		}
		out[v.Name] = ptr.Deref(v.Value, "")
	}
	return out
}

// rationalOf reads a number or a fraction.
func rationalOf(text string) (api.Rational, error) {
	above, below, fraction := strings.Cut(text, "/")
	if !fraction {
		below = "1"
	}
	num, err := strconv.ParseInt(above, 10, 64)
	if err != nil {
		return api.Rational{}, err
	}
	den, err := strconv.ParseInt(below, 10, 64)
	if err != nil {
		return api.Rational{}, err
	}
	return api.Rational{Num: num, Den: den}, nil
}

// outputNames are the attributes of a plugin's results: what it declares and what a built-in puts out.
func outputNames(p *mrev1.Plugin, builtin []string) []string {
	names := slices.Clone(builtin)
	for _, o := range p.Spec.Outputs {
		names = append(names, o.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)
	if names == nil {
		names = []string{}
	}
	return names
}

// planHash is the SHA-256 of the plan as JSON without its hash. encoding/json sorts the keys of maps
// and keeps the order of fields, so the text is canonical.
func planHash(plan api.Plan) (string, error) {
	plan.Hash = ""
	text, err := json.Marshal(plan)
	if err != nil {
		return "", fmt.Errorf("hashing the plan: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
