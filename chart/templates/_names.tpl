{{/* Whether anything is wanted (a parent chart may switch it off). The first template that asks has the values checked. */}}
{{- define "ilb.enabled" -}}
{{- if ne (toString .Values.enabled) "false" -}}
{{- if not (hasKey . "isChecked") -}}
{{- include "ilb.checks" . -}}
{{- $_ := set . "isChecked" true -}}
{{- end -}}
true
{{- end -}}
{{- end }}

{{- define "ilb.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "ilb.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "ilb.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "ilb.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "ilb.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{- define "ilb.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "ilb.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* What selects our pods. Nothing in here may ever change with a version: a Deployment's selector is immutable. */}}
{{- define "ilb.selectorLabels" -}}
app.kubernetes.io/name: {{ include "ilb.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* commonLabels may hold templates; a selector's label wins over them. */}}
{{- define "ilb.labels" -}}
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service
  "app.kubernetes.io/part-of" (include "ilb.name" .) -}}
{{- $selector := include "ilb.selectorLabels" . | fromYaml -}}
{{- $common := include "ilb.strings" (dict "root" . "map" .Values.commonLabels) | fromYaml -}}
{{- merge (dict) $selector $common $own | toYaml }}
{{- end }}

{{- define "ilb.annotations" -}}
{{- include "ilb.strings" (dict "root" . "map" .Values.commonAnnotations) -}}
{{- end }}

{{/* The map of (dict "root" $ "map" …), whose values are text and may contain templates. */}}
{{- define "ilb.strings" -}}
{{- $root := .root -}}
{{- $result := dict -}}
{{- range $key, $value := .map -}}
{{- $_ := set $result $key (tpl (toString $value) $root) -}}
{{- end -}}
{{- $result | toYaml -}}
{{- end }}

{{/* The metadata of every object: (dict "root" $ "suffix" "-metrics" "labels" … "annotations" …). */}}
{{- define "ilb.metadata" -}}
name: {{ printf "%s%s" (include "ilb.fullname" .root) (.suffix | default "") | quote }}
namespace: {{ .namespace | default (include "ilb.namespace" .root) | quote }}
labels:
  {{- $labels := include "ilb.strings" (dict "root" .root "map" .labels) | fromYaml }}
  {{- merge (dict) $labels (include "ilb.labels" .root | fromYaml) | toYaml | nindent 2 }}
{{- $annotations := include "ilb.strings" (dict "root" .root "map" .annotations) | fromYaml }}
{{- with merge (dict) $annotations (include "ilb.annotations" .root | fromYaml) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The secrets for pulling images, of the parent chart too, as maps. They are given as maps or as names. */}}
{{- define "ilb.pullSecrets" -}}
{{- $secrets := list -}}
{{- range concat (.Values.imagePullSecrets | default list) (dig "imagePullSecrets" list (.Values.global | default dict) | default list) -}}
{{- $secrets = append $secrets (ternary . (dict "name" .) (kindIs "map" .)) -}}
{{- end -}}
{{- $secrets | uniq | toYaml -}}
{{- end }}

{{/* An image reference of (dict "root" $ "image" … "tag" default): a digest wins over the tag. */}}
{{- define "ilb.image" -}}
{{- with dig "imageRegistry" "" (.root.Values.global | default dict) | default .image.registry }}{{ . }}/{{ end }}{{ .image.repository }}
{{- if .image.digest }}@{{ .image.digest }}{{ else }}:{{ .image.tag | default .tag }}{{ end }}
{{- end }}

{{/* The seconds of a duration such as 90s, 5m or 1h30m. */}}
{{- define "ilb.seconds" -}}
{{- $hours := regexFind "[0-9]+h" . | trimSuffix "h" | int -}}
{{- $minutes := regexFind "[0-9]+m" . | trimSuffix "m" | int -}}
{{- $seconds := regexFind "[0-9]+s" . | trimSuffix "s" | int -}}
{{- add (mul $hours 3600) (mul $minutes 60) $seconds -}}
{{- end }}

{{/* The milliseconds of a duration with any units and fractions, such as 1.5s or 1m30s500ms. */}}
{{- define "ilb.milliseconds" -}}
{{- $units := dict "h" 3600000.0 "m" 60000.0 "s" 1000.0 "ms" 1.0 "us" 0.001 "ns" 0.000001 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|us|ns|h|m|s)" . -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $sum = addf $sum (mulf (trimSuffix $unit . | float64) (get $units $unit)) -}}
{{- end -}}
{{- $sum -}}
{{- end }}
