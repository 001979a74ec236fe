// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// object is a manifest.
type object map[string]any

func (o object) kind() string { return text(o["kind"]) }

func (o object) metadata() map[string]any {
	m, _ := o["metadata"].(map[string]any)
	return m
}

func (o object) name() string { return text(o.metadata()["name"]) }

func (o object) component() string {
	labels, _ := o.metadata()["labels"].(map[string]any)
	return text(labels["app.kubernetes.io/component"])
}

func (o object) id() string { return o.kind() + "/" + o.name() }

func text(v any) string {
	s, _ := v.(string)
	return s
}

func newReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }

// fileOf is the template that an object belongs to; empty leaves the object out. Helm makes the namespace.
func fileOf(o object) string {
	switch {
	case o.kind() == "Namespace":
		return ""
	case o.kind() == "CustomResourceDefinition":
		return "crd/" + o.name() + ".yaml"
	case o.kind() == "NetworkPolicy":
		return "network-policy.yaml"
	case o.component() != "":
		return o.component() + ".yaml"
	case o.id() == "ServiceAccount/mre-objectstore":
		return "objectstore.yaml"
	case strings.HasSuffix(o.name(), "-admin"), strings.HasSuffix(o.name(), "-editor"),
		o.kind() == "ClusterRole" && strings.HasSuffix(o.name(), "-viewer"):
		return "roles.yaml"
	}
	return "rbac.yaml"
}

// guards are the conditions under which a template is rendered at all.
var guards = map[string]string{
	"objectstore.yaml":            ".Values.objectStore.enabled",
	"network-policy.yaml":         ".Values.networkPolicy.enabled",
	"crd/events.mre.media.yaml":   ".Values.crd.enable",
	"crd/models.mre.media.yaml":   ".Values.crd.enable",
	"crd/plugins.mre.media.yaml":  ".Values.crd.enable",
	"crd/profiles.mre.media.yaml": ".Values.crd.enable",
	"crd/replays.mre.media.yaml":  ".Values.crd.enable",
}

// objectGuards are the conditions of single objects.
var objectGuards = map[string]string{
	"PersistentVolumeClaim/mre-dataplane": "not " + postgres,
}

// template renders one object as a template and notes which edits it used.
func template(o object, used map[string]bool) (string, error) {
	marks := &marks{}
	if labels, ok := o.metadata()["labels"].(map[string]any); ok {
		labels["app.kubernetes.io/managed-by"] = marks.value("{{ .Release.Service }}")
		labels["app.kubernetes.io/instance"] = marks.value("{{ .Release.Name }}")
		labels["app.kubernetes.io/version"] = marks.value("{{ .Chart.AppVersion | quote }}")
		labels["helm.sh/chart"] = marks.value(`{{ printf "%s-%s" .Chart.Name .Chart.Version }}`)
	}
	for _, e := range edits {
		if e.object != o.id() {
			continue
		}
		if err := e.apply(o, marks); err != nil {
			return "", fmt.Errorf("%s: %w", e.path(), err)
		}
		used[e.path()] = true
	}
	if o.kind() == "CustomResourceDefinition" {
		annotations, _ := o.metadata()["annotations"].(map[string]any)
		annotations["helm.sh/resource-policy"] = marks.line("{{- if .Values.crd.keep }}",
			"helm.sh/resource-policy: keep", "{{- end }}")
	}
	out, err := yaml.Marshal(o)
	if err != nil {
		return "", err
	}
	rendered := strings.ReplaceAll(string(out), "{{", `{{ "{{" }}`)
	rendered = strings.ReplaceAll(rendered, "mre-system", "{{ .Release.Namespace }}")
	rendered = marks.replace(rendered)
	if guard := objectGuards[o.id()]; guard != "" {
		rendered = "{{- if " + guard + " }}\n" + rendered + "{{- end }}\n"
	}
	return rendered, nil
}
