{{/* Whether a PodMonitor is wanted, by its old or its new name. Files of earlier versions quote the old one. */}}
{{- define "ilb.metrics.podMonitor" -}}
{{- or (eq (toString .Values.metrics.enabled) "true") .Values.metrics.podMonitor.enabled -}}
{{- end }}

{{/* The labels by which the metrics Service and nothing else is found. */}}
{{- define "ilb.metrics.component" -}}
app.kubernetes.io/component: metrics
{{- end }}
