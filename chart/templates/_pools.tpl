{{/*
The pools, whichever way they are given, with everything that Kubernetes and Traefik have to know about them filled in:
name, entryPoint, port (where Traefik listens), servicePort, portName, nodePort, namespaces, allNamespaces, service, file,
hostPort, appProtocol, allowedNetworks, method, watch, updateInterval, closing, backendPort.

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
  "hostPort" .hostPort
  "appProtocol" .appProtocol
  "namespaces" (.namespaces | default (list (include "ilb.namespace" $)))
  "allNamespaces" (.allNamespaces | default false)
  "service" .service
  "file" .file
  "allowedNetworks" .allowedNetworks
  "method" .method
  "watch" .watch
  "updateInterval" .updateInterval
  "closing" .closing
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
  "hostPort" .Values.service.hostPort
  "appProtocol" .Values.service.appProtocol
  "namespaces" (list (include "ilb.namespace" .))
  "allNamespaces" false
  "method" .Values.env.lbMethod
  "watch" .Values.env.useWatch
  "updateInterval" .Values.env.updateinterval
  "closing" .Values.env.closing
  "backendPort" (include "ilb.backendPort" .Values.env.backendPort | fromYaml).port) -}}
{{- end -}}
{{- toYaml $pools -}}
{{- end }}

{{/*
The settings file of ilb (docs/settings.md), whose changes ilb follows: what only the Service needs to know of a pool is left
out.
*/}}
{{- define "ilb.settings" -}}
{{- $pools := list -}}
{{- range $i, $known := include "ilb.pools" . | fromYamlArray -}}
{{- $own := dict "name" $known.name "entryPoint" $known.entryPoint -}}
{{- if $.Values.pools -}}
{{- $pool := index $.Values.pools $i -}}
{{- if and (not $pool.file) (not $pool.allNamespaces) -}}
{{- $_ := set $own "namespaces" $known.namespaces -}}
{{- end -}}
{{- $own = merge $own (omit $pool "port" "servicePort" "portName" "nodePort" "hostPort" "appProtocol") -}}
{{- else -}}
{{- $own = merge $own (dict "selector" (include "ilb.relay" $) "namespaces" $known.namespaces "backendPort" $known.backendPort) -}}
{{- range $key := list "method" "updateInterval" "closing" -}}
{{- with index $known $key -}}{{- $_ := set $own $key . -}}{{- end -}}
{{- end -}}
{{- if not (has (toString $known.watch) (list "" "<nil>")) -}}
{{- $_ := set $own "watch" (eq (toString $known.watch) "true") -}}
{{- end -}}
{{- end -}}
{{- $pools = append $pools $own -}}
{{- end -}}
{{- $log := dict -}}
{{- range $key, $value := dict "level" (.Values.log.level | default .Values.env.logLevel) "format" (.Values.log.format | default .Values.env.logFormat) -}}
{{- if $value -}}{{- $_ := set $log $key $value -}}{{- end -}}
{{- end -}}
{{- $siblings := dict -}}
{{- if and .Values.siblings.enabled (not (include "ilb.hasSiblings" .)) -}}
{{- $_ := set $siblings "expectSiblings" false -}}
{{- end -}}
{{- $links := dict -}}
{{- with .Values.backendLinks -}}{{- $_ := set $links "backendLinks" . -}}{{- end -}}
{{- merge (dict "pools" $pools) $siblings $links (ternary (dict "log" $log) (dict) (not (empty $log))) | toYaml -}}
{{- end }}

{{/* Whether a pool prefers backends of its own zone. */}}
{{- define "ilb.prefersZones" -}}
{{- range .Values.pools -}}
{{- if eq (toString .zones) "prefer" -}}true{{- end -}}
{{- end -}}
{{- end }}

{{/* The selector of `env.relay`, which is text, or a map of labels and values. */}}
{{- define "ilb.relay" -}}
{{- $relay := .Values.env.relay -}}
{{- if kindIs "map" $relay -}}
{{- $terms := list -}}
{{- range $key, $value := $relay -}}
{{- if not (kindIs "string" $value) -}}
{{- fail (printf "env.relay.%s: %v is not text, and may not be what the label says: write the value in quotes, or use --set-string" $key $value) -}}
{{- end -}}
{{- $terms = append $terms (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- join "," $terms -}}
{{- else -}}
{{- $relay | default "" -}}
{{- end -}}
{{- end }}

{{/* The port of the backends, a number if it is written as one. */}}
{{- define "ilb.backendPort" -}}
{{- $port := ternary (. | int64 | toString) (toString .) (kindIs "float64" .) -}}
{{- if has $port (list "" "<nil>") -}}
port: 3333
{{- else if regexMatch "^[0-9]+$" $port -}}
port: {{ atoi $port }}
{{- else -}}
port: {{ $port | quote }}
{{- end -}}
{{- end }}
