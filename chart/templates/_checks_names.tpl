{{/* Names and labels, as the API server accepts them. */}}
{{- define "ilb.checks.names" -}}
{{- $name := include "ilb.fullname" . -}}
{{- if not (regexMatch "^[a-z]([a-z0-9-]*[a-z0-9])?$" $name) -}}
{{- fail (printf "%q cannot be the name of a Service, which begins with a letter and has small letters, digits and '-' only: set fullnameOverride" $name) -}}
{{- end -}}
{{- if not (regexMatch (include "ilb.pattern.value" .) (include "ilb.name" .)) -}}
{{- fail (printf "nameOverride: %q cannot be the value of a label: it takes letters, digits, '-', '_' and '.'" (include "ilb.name" .)) -}}
{{- end -}}
{{- range $namespace := list .Values.namespaceOverride .Values.metrics.podMonitor.namespace .Values.metrics.serviceMonitor.namespace .Values.metrics.prometheusRule.namespace -}}
{{- if and $namespace (not (regexMatch (include "ilb.pattern.namespace" $) $namespace)) -}}
{{- fail (printf "%q cannot be the name of a namespace, which has at most 63 small letters, digits and '-'" $namespace) -}}
{{- end -}}
{{- end -}}
{{- range $key, $object := dict "serviceAccount.name" (include "ilb.serviceAccountName" .) "priorityClassName" .Values.priorityClassName "runtimeClassName" .Values.runtimeClassName -}}
{{- if and $object (not (regexMatch "^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$" $object)) -}}
{{- fail (printf "%s: %q cannot be a name: it takes small letters, digits, '-' and '.'" $key $object) -}}
{{- end -}}
{{- end -}}
{{- range $secret := include "ilb.pullSecrets" . | fromYamlArray -}}
{{- if not (regexMatch "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" (toString $secret.name)) -}}
{{- fail (printf "imagePullSecrets: %q cannot be the name of a Secret" (toString $secret.name)) -}}
{{- end -}}
{{- end -}}
{{- $selector := dig "spec" "selector" "matchLabels" dict (include "ilb.live" . | fromYaml) -}}
{{- range $key, $value := include "ilb.selectorLabels" . | fromYaml -}}
{{- if and $selector (ne (get $selector $key) $value) -}}
{{- fail (printf "the running Deployment %s selects its pods by %s=%v, which cannot be changed to %v: leave nameOverride as it was, or install the release anew under another name" $name $key (get $selector $key) $value) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.labels" -}}
{{- $values := .Values -}}
{{- range $at, $labels := dict
  "commonLabels" $values.commonLabels
  "podLabels" $values.podLabels
  "deploymentLabels" $values.deploymentLabels
  "service.labels" $values.service.labels
  "test.labels" $values.test.labels
  "metrics.service.labels" $values.metrics.service.labels
  "metrics.podMonitor.labels" $values.metrics.podMonitor.labels
  "metrics.serviceMonitor.labels" $values.metrics.serviceMonitor.labels
  "metrics.prometheusRule.labels" $values.metrics.prometheusRule.labels
  "metrics.dashboard.labels" $values.metrics.dashboard.labels
  "nodeSelector" $values.nodeSelector -}}
{{- include "ilb.checks.map" (dict "root" $ "at" $at "map" $labels "isLabels" true) -}}
{{- end -}}
{{- range $at, $annotations := dict
  "commonAnnotations" $values.commonAnnotations
  "podAnnotations" $values.podAnnotations
  "deploymentAnnotations" $values.deploymentAnnotations
  "service.annotations" $values.service.annotations
  "test.annotations" $values.test.annotations
  "serviceAccount.annotations" $values.serviceAccount.annotations
  "metrics.service.annotations" $values.metrics.service.annotations
  "metrics.podMonitor.annotations" $values.metrics.podMonitor.annotations
  "metrics.serviceMonitor.annotations" $values.metrics.serviceMonitor.annotations
  "metrics.prometheusRule.annotations" $values.metrics.prometheusRule.annotations
  "metrics.dashboard.annotations" $values.metrics.dashboard.annotations -}}
{{- include "ilb.checks.map" (dict "root" $ "at" $at "map" $annotations) -}}
{{- end -}}
{{- range $at, $labels := dict "podLabels" $values.podLabels "test.labels" $values.test.labels -}}
{{- range $key, $value := $labels -}}
{{- if hasKey (include "ilb.selectorLabels" $ | fromYaml) $key -}}
{{- fail (printf "%s: %s is one of the labels that select the pods and cannot be changed: use nameOverride, or another label" $at $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* One map of labels or annotations: (dict "root" $ "at" … "map" … "isLabels" …). */}}
{{- define "ilb.checks.map" -}}
{{- $at := .at -}}
{{- $isLabels := .isLabels -}}
{{- $root := .root -}}
{{- range $key, $value := include "ilb.strings" (dict "root" .root "map" .map) | fromYaml -}}
{{- if not (regexMatch (include "ilb.pattern.key" $root) (ternary $key (lower $key) (not (empty $isLabels)))) -}}
{{- fail (printf "%s: %q cannot be a key: it takes letters, digits, '-', '_' and '.', at most 63, after a domain and a '/' if you like" $at $key) -}}
{{- end -}}
{{- if and $isLabels (not (regexMatch (include "ilb.pattern.value" $root) $value)) -}}
{{- fail (printf "%s.%s: %q cannot be the value of a label: it takes letters, digits, '-', '_' and '.', at most 63, and begins and ends with a letter or a digit" $at $key $value) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.pattern.namespace" -}}^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?${{- end }}
{{- define "ilb.pattern.value" -}}^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?${{- end }}
{{- define "ilb.pattern.label" -}}([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?{{- end }}
{{- define "ilb.pattern.key" -}}^{{ include "ilb.pattern.label" . }}${{- end }}
{{- define "ilb.pattern.portName" -}}^[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?${{- end }}
{{- define "ilb.pattern.cidr" -}}^(((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])/(3[0-2]|[12]?[0-9])|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9]))${{- end }}
{{- define "ilb.pattern.address" -}}^(((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*)${{- end }}

{{/* The grammar of label selectors: of the API, which has no < and >. */}}
{{- define "ilb.pattern.selector" -}}
{{- $key := include "ilb.pattern.label" . -}}
{{- $value := "([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?" -}}
{{- $one := printf "\\s*(!\\s*%s|%s(\\s*(==?|!\\s*=)\\s*%s|\\s+(in|notin)\\s*\\(\\s*%s(\\s*,\\s*%s)*\\s*\\))?)\\s*" $key $key $value $value $value -}}
{{- printf "^%s(,%s)*$" $one $one -}}
{{- end }}
