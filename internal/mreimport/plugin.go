// SPDX-License-Identifier: Apache-2.0

package mreimport

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mrev1 "github.com/mre-operator/mre-operator/api/v1alpha1"
)

// Bounds of the Plugin kind.
const (
	maxOutputs     = 64
	maxReferences  = 16
	maxDescription = 1024
	maxTimeout     = 3600
)

var outputName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,62}$`)

// classes by MRE's names.
var classes = map[string]mrev1.PluginClass{
	"Classifier": mrev1.ClassSegmenter,
	"Optimizer":  mrev1.ClassOptimizer,
	"Labeler":    mrev1.ClassLabeler,
	"Featurer":   mrev1.ClassFeaturer,
}

func classOf(d *document, field string) (mrev1.PluginClass, error) {
	name := d.text(field)
	class, ok := classes[name]
	if !ok {
		return "", fmt.Errorf("%s is %q; MRE knows Classifier, Optimizer, Labeler and Featurer", field, name)
	}
	return class, nil
}

func (im *importer) plugin(d *document) (*mrev1.Plugin, error) {
	class, err := classOf(d, "Class")
	if err != nil {
		return nil, err
	}
	p := &mrev1.Plugin{
		TypeMeta:   metav1.TypeMeta{APIVersion: mrev1.GroupVersion.String(), Kind: "Plugin"},
		ObjectMeta: im.meta(d, kindPlugin, d.text("Name")),
		Spec:       mrev1.PluginSpec{Class: class, MediaType: mrev1.MediaVideo},
	}
	if d.text("SupportedMediaType") == "Audio" {
		if class == mrev1.ClassFeaturer || class == mrev1.ClassOptimizer {
			p.Spec.MediaType = mrev1.MediaAudio
		} else {
			d.warn("SupportedMediaType", "Audio becomes Video: a %s works for all tracks at once, as it did in MRE", class)
		}
	}
	p.Spec.Runtime.Container = &mrev1.ContainerRuntime{
		Image:    im.image(d, p),
		Protocol: mrev1.ProtocolLambdaRuntime,
	}
	im.lambda(d, p)
	if p.Spec.Models, err = im.modelsOf(d); err != nil {
		return nil, err
	}
	for _, name := range im.dependencies(d) {
		p.Spec.DependsOn = append(p.Spec.DependsOn, mrev1.LocalReference{Name: im.names.of(kindPlugin, name)})
	}
	p.Spec.DependsOn = bounded(d, "DependentPlugins", p.Spec.DependsOn, maxReferences)
	if p.Spec.Configuration, err = configuration(d); err != nil {
		return nil, err
	}
	im.prompted(d, p)
	p.Spec.Outputs = outputs(d)
	return p, nil
}

// functionName is the name in the address of a function.
var functionName = regexp.MustCompile(`:function:([A-Za-z0-9_-]+)`)

// image is what the template makes of a plugin.
func (im *importer) image(d *document, p *mrev1.Plugin) string {
	image := strings.ReplaceAll(im.options.ImageTemplate, "{name}", p.Name)
	if !strings.Contains(image, "{handler}") {
		return image
	}
	// Of module.function, images bear the module's name.
	handler := ""
	if d.lambda != nil {
		handler = d.lambda.text("Handler")
		if i := strings.LastIndexByte(handler, '.'); i >= 0 {
			handler = handler[:i]
		}
	}
	if found := functionName.FindStringSubmatch(d.text("ExecuteLambdaQualifiedARN")); handler == "" && found != nil {
		handler = found[1]
	}
	if label(handler) == "" {
		d.warn("ExecuteLambdaQualifiedARN",
			"the function's handler is not known: {handler} in the name of the image becomes the Plugin's name, %s", p.Name)
		return strings.ReplaceAll(image, "{handler}", p.Name)
	}
	return strings.ReplaceAll(image, "{handler}", label(handler))
}

// lambda takes over what the samples' config.json says of the function.
func (im *importer) lambda(d *document, p *mrev1.Plugin) {
	if arn := d.text("ExecuteLambdaQualifiedARN"); arn != "" {
		p.Annotations[annotationLambda] = arn
	}
	l := d.lambda
	if l == nil {
		d.warn("ExecuteLambdaQualifiedARN",
			"the function's handler is not known: the image of %s must have it as its command, as images for Lambda do", p.Name)
		return
	}
	if handler := l.text("Handler"); handler != "" {
		p.Spec.Runtime.Container.Args = []string{handler}
	}
	if megabytes := l.number("MemorySize"); megabytes > 0 {
		memory := *resource.NewQuantity(megabytes<<20, resource.BinarySI)
		p.Spec.Runtime.Container.Resources = &corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceMemory: memory},
			Limits:   corev1.ResourceList{corev1.ResourceMemory: memory},
		}
	}
	if seconds := l.number("TimeoutSecs"); seconds > 0 {
		if seconds > maxTimeout {
			l.warn("TimeoutSecs", "%d becomes %d: a run may take no longer", seconds, maxTimeout)
		}
		p.Spec.Policy.TimeoutSeconds = int32(min(seconds, maxTimeout))
	}
	if layers, _ := l.get("Layers").([]any); len(layers) > 0 {
		l.warn("Layers", "the image must hold what the layers %v hold", layers)
	}
	if policy, _ := l.get("IAMPolicyDocument").(map[string]any); len(policy) > 0 {
		l.warn("IAMPolicyDocument",
			"is left out: the plugin has no AWS role here; what it calls of AWS needs its own access and egress")
	}
	l.leftovers()
}

// modelsOf are the models that a plugin lists.
func (im *importer) modelsOf(d *document) ([]mrev1.LocalReference, error) {
	endpoints := d.objects("ModelEndpoints")
	if d.text("ExecutionType") != "SyncModel" {
		if len(endpoints) > 0 {
			d.warn("ModelEndpoints", "is left out: the ExecutionType is %s, for which MRE drops them, too",
				d.text("ExecutionType"))
		}
		return nil, nil
	}
	if len(endpoints) == 0 {
		return nil, errors.New("the ExecutionType is SyncModel, but ModelEndpoints is empty")
	}
	var out []mrev1.LocalReference
	for _, e := range endpoints {
		reference := mrev1.LocalReference{Name: im.modelReference(e)}
		if !slices.Contains(out, reference) {
			out = append(out, reference)
		}
		e.leftovers()
	}
	return bounded(d, "ModelEndpoints", out, maxReferences), nil
}

func bounded[T any](d *document, field string, list []T, most int) []T {
	if len(list) <= most {
		return list
	}
	d.warn(field, "has %d entries; the %d after the first %d are left out", len(list), len(list)-most, most)
	return list[:most]
}

// configuration is taken over as it stands: numbers stay numbers, texts stay texts.
func configuration(d *document) (*apiextensionsv1.JSON, error) {
	fields, ok := d.get("Configuration").(map[string]any)
	if !ok || len(fields) == 0 {
		return nil, nil
	}
	raw, err := json.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("the Configuration: %w", err)
	}
	return &apiextensionsv1.JSON{Raw: raw}, nil
}

// prompted finds the prompts that a plugin's configuration names.
func (im *importer) prompted(d *document, p *mrev1.Plugin) {
	fields, _ := d.get("Configuration").(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		value, ok := fields[key].(string)
		if !ok {
			continue
		}
		if im.promptNames[value] {
			im.usedPrompts[value] = true
			reference := mrev1.PromptReference{Name: value, ConfigMap: im.names.of(kindPrompt, value)}
			if !slices.Contains(p.Spec.Prompts, reference) {
				p.Spec.Prompts = append(p.Spec.Prompts, reference)
			}
		}
	}
	p.Spec.Prompts = bounded(d, "Configuration", p.Spec.Prompts, maxReferences)
}

func outputs(d *document) []mrev1.PluginOutput {
	declared := d.object("OutputAttributes")
	if declared == nil {
		return nil
	}
	var out []mrev1.PluginOutput
	for _, name := range slices.Sorted(maps.Keys(declared.fields)) {
		if !outputName.MatchString(name) {
			d.warn("OutputAttributes."+name,
				"is left out: the name of an output has letters, digits, _ and -, at most 63; results may hold it all the same")
			continue
		}
		o := mrev1.PluginOutput{Name: name}
		if attribute := declared.object(name); attribute != nil {
			o.Description = attribute.text("Description")
			attribute.leftovers()
		}
		if len(o.Description) > maxDescription {
			d.warn("OutputAttributes."+name, "its description is cut to %d bytes", maxDescription)
			o.Description = strings.ToValidUTF8(o.Description[:maxDescription], "")
		}
		out = append(out, o)
	}
	return bounded(d, "OutputAttributes", out, maxOutputs)
}
