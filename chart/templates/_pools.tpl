{{/*
The pools, whichever way they are given, with everything that Kubernetes and Traefik have to know about them filled in:
name, entryPoint, port (where Traefik listens), servicePort, portName, nodePort, namespaces, allNamespaces, service.

What is filled in for a pool must not depend on the others: pods of before an upgrade read the new settings with the
entry points that their Traefik was started with.
*/}}
{{- define "ilb.pools" -}}
{{- $pools := list -}}
{{- if .Values.pools -}}
{{- range .Values.pools -}}
{{- $name := .name | default "default" -}}
{{- $port := .port | default 3333 | int -}}
{{- $pools = append $pools (dict
  "name" $name
  "entryPoint" (.entryPoint | default (ternary "tcp" $name (eq $name "default")))
  "port" $port
  "servicePort" (.servicePort | default $port | int)
  "portName" (.portName | default ($name | trunc 15 | trimSuffix "-"))
  "nodePort" .nodePort
  "namespaces" (.namespaces | default (list (include "ilb.namespace" $)))
  "allNamespaces" (.allNamespaces | default false)
  "service" .service
  "file" .file
  "backendPort" (.backendPort | default 3333)) -}}
{{- end -}}
{{- else -}}
{{- $pools = append $pools (dict
  "name" "default"
  "entryPoint" "tcp"
  "port" 3333
  "servicePort" (.Values.service.port | default 3333 | int)
  "portName" (.Values.env.portname | default "tcp")
  "nodePort" .Values.service.nodePort
  "namespaces" (list (include "ilb.namespace" .))
  "allNamespaces" false
  "backendPort" (.Values.env.backendPort | default 3333 | int)) -}}
{{- end -}}
{{- toYaml $pools -}}
{{- end }}

{{/* The settings file of ilb (docs/settings.md): what only the Service needs to know of a pool is left out. */}}
{{- define "ilb.settings" -}}
{{- $pools := list -}}
{{- $known := include "ilb.pools" . | fromYamlArray -}}
{{- range $i, $pool := .Values.pools -}}
{{- $known := index $known $i -}}
{{- $own := dict "name" $known.name "entryPoint" $known.entryPoint -}}
{{- if and (not $pool.file) (not $pool.allNamespaces) -}}
{{- $_ := set $own "namespaces" $known.namespaces -}}
{{- end -}}
{{- $pools = append $pools (merge $own (omit $pool "port" "servicePort" "portName" "nodePort")) -}}
{{- end -}}
{{- $log := dict -}}
{{- range $key, $value := dict "level" (.Values.log.level | default .Values.env.logLevel) "format" (.Values.log.format | default .Values.env.logFormat) -}}
{{- if $value -}}{{- $_ := set $log $key $value -}}{{- end -}}
{{- end -}}
{{- merge (dict "pools" $pools) (ternary (dict "log" $log) (dict) (not (empty $log))) | toYaml -}}
{{- end }}
