// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// edit replaces a field of an object by a template expression.
type edit struct {
	// object is KIND/NAME.
	object string
	// field is a path of keys, of indexes, and of names in brackets: [name=manager], [key=value].
	field string
	// make gives the new value; nil removes the field.
	make func(m *marks, old any) any
}

func (e edit) path() string { return e.object + " " + e.field }

func value(expression string) func(*marks, any) any {
	return func(m *marks, _ any) any { return m.value(expression) }
}

func block(expression string) func(*marks, any) any {
	return func(m *marks, _ any) any { return m.block(expression) }
}

// guarded keeps a list's items under a condition.
func guarded(condition string) func(*marks, any) any {
	return func(m *marks, old any) any {
		items := []any{m.line("{{- if " + condition + " }}")}
		items = append(items, old.([]any)...)
		return append(items, m.line("{{- end }}"))
	}
}

// arguments adds and replaces flags of a container: a flag of the manifest that stands in set gets that
// value, more are whole lines.
func arguments(set map[string]string, more ...string) func(*marks, any) any {
	return func(m *marks, old any) any {
		var out []any
		for _, a := range old.([]any) {
			name, _, _ := strings.Cut(a.(string), "=")
			if expression, ok := set[name]; ok {
				out = append(out, m.value(name+"="+expression))
				continue
			}
			out = append(out, a)
		}
		for _, l := range more {
			out = append(out, m.line(strings.Split(l, "\n")...))
		}
		return out
	}
}

const (
	imageExpression = `{{ include "mre.image" . }}`
	hasSecret       = `include "mre.secretName" .`
	logLevel        = "- --log-level={{ .Values.logLevel }}"
	container       = "spec.template.spec.containers.[name="
	annotationsPath = "metadata.annotations"
	// postgres is not empty when several replicas share the rows.
	postgres = ".Values.dataplane.postgres.secretName"
	scheme   = "{{ if " + withTLS + " }}HTTPS{{ else }}HTTP{{ end }}"
	withTLS  = ".Values.dataplane.tls"
)

var edits = concat(
	workload("Deployment/mre-manager", "manager", "manager"),
	workload("Deployment/mre-dataplane", "dataplane", "dataplane"),
	workload("StatefulSet/mre-objectstore", "objectstore", "objectStore"),
	claim("mre-dataplane", "dataplane"),
	claim("mre-objectstore", "objectStore"),
	[]edit{
		{"Deployment/mre-manager", "spec.replicas", value("{{ .Values.manager.replicas }}")},
		{"Deployment/mre-manager", container + "manager].env.[name=IMAGE].value", value(imageExpression)},
		{"Deployment/mre-manager", container + "manager].args", arguments(map[string]string{
			"--object-store-endpoint": `{{ include "mre.s3Endpoint" . }}`,
			"--dataplane-url": "{{ if " + withTLS +
				" }}https{{ else }}http{{ end }}://mre-dataplane.{{ .Release.Namespace }}.svc:8080",
		}, logLevel,
			"- --agent-cpu={{ .Values.agent.cpu }}",
			"- --agent-memory={{ .Values.agent.memory }}",
			"- --agent-memory-limit={{ .Values.agent.memoryLimit }}",
			"- --scratch-size={{ .Values.agent.scratchSize }}",
			"- --network-policies={{ .Values.agent.networkPolicies }}",
			"- --max-workers={{ .Values.manager.maxWorkers }}",
			"{{- with .Values.image.pullPolicy }}\n- --agent-image-pull-policy={{ . }}\n{{- end }}")},
		{"Deployment/mre-dataplane", container + "dataplane].args", arguments(map[string]string{
			"--bucket":                  "{{ .Values.s3.bucket }}",
			"--object-store-endpoint":   `{{ include "mre.s3Endpoint" . }}`,
			"--object-store-path-style": "{{ or .Values.objectStore.enabled .Values.s3.pathStyle }}",
		}, logLevel,
			"- --object-store-region={{ .Values.s3.region }}",
			"{{- with .Values.s3.prefix }}\n- --bucket-prefix={{ . }}\n{{- end }}",
			"{{- with .Values.s3.publicEndpoint }}\n- --object-store-public-endpoint={{ . }}\n{{- end }}",
			"{{- range .Values.dataplane.extraArgs }}\n- {{ . | quote }}\n{{- end }}")},
		{"Deployment/mre-dataplane", container + "dataplane].env.[name=AWS_ACCESS_KEY_ID].valueFrom.secretKeyRef.name",
			value(`{{ ` + hasSecret + ` }}`)},
		{"Deployment/mre-dataplane", container + "dataplane].env.[name=AWS_SECRET_ACCESS_KEY].valueFrom.secretKeyRef.name",
			value(`{{ ` + hasSecret + ` }}`)},
		{"Deployment/mre-dataplane", container + "dataplane].env", guardedKeys(hasSecret)},
		{"Deployment/mre-dataplane", container + "dataplane].env",
			more("{{- with " + postgres + " }}\n- name: MRE_DATABASE\n  valueFrom:\n    secretKeyRef:\n      key: {{ " +
				"$.Values.dataplane.postgres.key }}\n      name: {{ . }}\n{{- end }}")},
		{"Deployment/mre-dataplane", "spec.replicas",
			value("{{ if " + postgres + " }}{{ .Values.dataplane.replicas }}{{ else }}1{{ end }}")},
		{"Deployment/mre-dataplane", "spec.strategy.type",
			value("{{ if " + postgres + " }}RollingUpdate{{ else }}Recreate{{ end }}")},
		{"Deployment/mre-dataplane", "spec.template.spec.volumes", guardedItem("data", "not "+postgres)},
		{"Deployment/mre-dataplane", "spec.template.spec.volumes", guardedItem("tls", withTLS)},
		{"Deployment/mre-dataplane", container + "dataplane].volumeMounts", guardedItem("tls", withTLS)},
		{"Deployment/mre-dataplane", container + "dataplane].args", guardedArgument("--tls-dir", withTLS)},
		{"Deployment/mre-dataplane", container + "dataplane].startupProbe.httpGet.scheme", value(scheme)},
		{"Deployment/mre-dataplane", container + "dataplane].livenessProbe.httpGet.scheme", value(scheme)},
		{"Deployment/mre-dataplane", container + "dataplane].readinessProbe.httpGet.scheme", value(scheme)},
		{"Service/mre-dataplane", "spec.ports.[name=api].appProtocol",
			value("{{ if " + withTLS + " }}https{{ else }}http{{ end }}")},
		{"Deployment/mre-dataplane", container + "dataplane].volumeMounts", guardedItem("data", "not "+postgres)},
		{"ServiceAccount/mre-dataplane", annotationsPath, block(".Values.dataplane.serviceAccountAnnotations")},
		{"StatefulSet/mre-objectstore", container + "objectstore].args", arguments(nil, logLevel,
			"- --region={{ .Values.s3.region }}")},
		{"StatefulSet/mre-objectstore", container + "objectstore].env.[name=AWS_ACCESS_KEY_ID].valueFrom.secretKeyRef.name",
			value(`{{ ` + hasSecret + ` }}`)},
		{"StatefulSet/mre-objectstore", container +
			"objectstore].env.[name=AWS_SECRET_ACCESS_KEY].valueFrom.secretKeyRef.name", value(`{{ ` + hasSecret + ` }}`)},
	},
)

// workload is what every pod of the operator can be set to.
func workload(object, containerName, values string) []edit {
	c := container + containerName + "]."
	return []edit{
		{object, c + "image", value(imageExpression)},
		{object, c + "imagePullPolicy", value("{{ .Values.image.pullPolicy | quote }}")},
		{object, c + "resources", block(".Values." + values + ".resources")},
		{object, "spec.template.spec.nodeSelector", block(".Values.nodeSelector")},
		{object, "spec.template.spec.tolerations", block(".Values.tolerations")},
		{object, "spec.template.spec.imagePullSecrets", block(".Values.imagePullSecrets")},
	}
}

// claim is what every volume can be set to.
func claim(name, values string) []edit {
	object := "PersistentVolumeClaim/" + name
	return []edit{
		{object, "spec.resources.requests.storage", value("{{ .Values." + values + ".storage.size }}")},
		{object, "spec.storageClassName", func(m *marks, _ any) any {
			return m.line("{{- with (or .Values."+values+".storage.storageClass .Values.storageClass) }}",
				"storageClassName: {{ . }}", "{{- end }}")
		}},
	}
}

// guardedKeys keeps the keys of the bucket out of the environment when the process gets them otherwise.
func guardedKeys(condition string) func(*marks, any) any {
	return func(m *marks, old any) any {
		var keys, rest []any
		for _, item := range old.([]any) {
			if strings.HasPrefix(text(item.(map[string]any)["name"]), "AWS_") {
				keys = append(keys, item)
			} else {
				rest = append(rest, item)
			}
		}
		return append(guarded(condition)(m, keys).([]any), rest...)
	}
}

// guardedItem keeps the item of a name under a condition.
func guardedItem(name, condition string) func(*marks, any) any {
	return func(m *marks, old any) any {
		var out []any
		for _, item := range old.([]any) {
			if named, ok := item.(map[string]any); ok && text(named["name"]) == name {
				out = append(out, guarded(condition)(m, []any{item}).([]any)...)
			} else {
				out = append(out, item)
			}
		}
		return out
	}
}

// guardedArgument keeps a flag of a container under a condition.
func guardedArgument(flag, condition string) func(*marks, any) any {
	return func(m *marks, old any) any {
		var out []any
		for _, item := range old.([]any) {
			if strings.HasPrefix(text(item), flag+"=") {
				out = append(out, guarded(condition)(m, []any{item}).([]any)...)
			} else {
				out = append(out, item)
			}
		}
		return out
	}
}

// more adds lines to a list.
func more(lines string) func(*marks, any) any {
	return func(m *marks, old any) any { return append(old.([]any), m.line(strings.Split(lines, "\n")...)) }
}

func concat(lists ...[]edit) []edit {
	var out []edit
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// apply walks to the field and replaces it.
func (e edit) apply(o object, m *marks) error {
	keys := strings.Split(e.field, ".")
	var at any = map[string]any(o)
	for i, key := range keys {
		last := i == len(keys)-1
		switch node := at.(type) {
		case map[string]any:
			if last {
				node[key] = e.make(m, node[key])
				return nil
			}
			next, ok := node[key]
			if !ok {
				return fmt.Errorf("there is no %s", strings.Join(keys[:i+1], "."))
			}
			at = next
		case []any:
			index, err := find(node, key)
			if err != nil {
				return err
			}
			at = node[index]
		default:
			return fmt.Errorf("%s is neither a map nor a list", strings.Join(keys[:i], "."))
		}
	}
	return nil
}

// find looks an item up by index or by [key=value].
func find(list []any, key string) (int, error) {
	if i, err := strconv.Atoi(key); err == nil && i < len(list) {
		return i, nil
	}
	name, want, _ := strings.Cut(strings.Trim(key, "[]"), "=")
	for i, item := range list {
		if m, ok := item.(map[string]any); ok && text(m[name]) == want {
			return i, nil
		}
	}
	return 0, fmt.Errorf("there is no item %s", key)
}
