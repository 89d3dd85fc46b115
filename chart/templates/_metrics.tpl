{{/* Whether a PodMonitor is wanted, by its old or its new name. Files of earlier versions quote the old one. */}}
{{- define "ilb.metrics.podMonitor" -}}
{{- or (eq (toString .Values.metrics.enabled) "true") .Values.metrics.podMonitor.enabled -}}
{{- end }}

{{/* The labels by which the metrics Service and nothing else is found. */}}
{{- define "ilb.metrics.component" -}}
app.kubernetes.io/component: metrics
{{- end }}

{{/* The fields that every endpoint of a monitor has, of (dict "root" $ "monitor" …). */}}
{{- define "ilb.metrics.endpoint" -}}
path: /metrics
{{- range $key := list "interval" "scrapeTimeout" }}
{{- with index $.monitor $key }}
{{ $key }}: {{ . | quote }}
{{- end }}
{{- end }}
{{- with .monitor.honorLabels }}
honorLabels: {{ . }}
{{- end }}
{{- range $key := list "relabelings" "metricRelabelings" }}
{{- with index $.monitor $key }}
{{ $key }}:
  {{- tpl (toYaml .) $.root | nindent 2 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The fields that every monitor has beside its selector and its endpoints, of (dict "root" $ "monitor" …). */}}
{{- define "ilb.metrics.monitor" -}}
namespaceSelector:
  matchNames: [{{ include "ilb.namespace" .root | quote }}]
{{- with .monitor.jobLabel }}
jobLabel: {{ . | quote }}
{{- end }}
{{- range $key := list "targetLabels" "podTargetLabels" }}
{{- with index $.monitor $key }}
{{ $key }}:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .monitor.sampleLimit }}
sampleLimit: {{ int . }}
{{- end }}
{{- end }}

{{/* The alerts, about the pods of this release alone and with the thresholds of the values. */}}
{{- define "ilb.alerts" -}}
{{- $text := .Files.Get "files/alerts.yml" -}}
{{- range $name, $threshold := .Values.metrics.prometheusRule.thresholds -}}
{{- $text = replace (printf "THRESHOLD_%s" $name) (ternary ($threshold | int64 | toString) (toString $threshold) (eq (floor $threshold) (float64 $threshold))) $text -}}
{{- end -}}
{{- $text | replace "SCOPE" (printf "namespace=%q,pod=~%q" (include "ilb.namespace" .) (printf "%s-.+" (include "ilb.fullname" .))) -}}
{{- end }}
