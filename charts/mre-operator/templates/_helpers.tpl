{{- define "mre.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* Where the bucket is; empty for AWS S3. */}}
{{- define "mre.s3Endpoint" -}}
{{- if .Values.objectStore.enabled -}}
http://mre-objectstore.{{ .Release.Namespace }}.svc:7070
{{- else -}}
{{ .Values.s3.endpoint }}
{{- end -}}
{{- end }}

{{/* The Secret of the bucket's keys; empty when there is none. */}}
{{- define "mre.secretName" -}}
{{- if .Values.s3.secretName -}}
{{ .Values.s3.secretName }}
{{- else if .Values.objectStore.enabled -}}
mre-objectstore
{{- end -}}
{{- end }}
