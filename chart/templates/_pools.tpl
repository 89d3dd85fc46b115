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

{{/* Whether ilb has a file of settings. */}}
{{- define "ilb.hasFile" -}}
{{- if or .Values.pools .Values.env.closing -}}true{{- end -}}
{{- end }}

{{/*
The settings file of ilb (docs/settings.md): what only the Service needs to know of a pool is left out. Of the single pool
of `env` it has the rules of closing alone.
*/}}
{{- define "ilb.settings" -}}
{{- $pools := list -}}
{{- if not .Values.pools -}}
{{- $pools = append $pools (dict "closing" .Values.env.closing) -}}
{{- end -}}
{{- $known := include "ilb.pools" . | fromYamlArray -}}
{{- range $i, $pool := .Values.pools -}}
{{- $known := index $known $i -}}
{{- $own := dict "name" $known.name "entryPoint" $known.entryPoint -}}
{{- if and (not $pool.file) (not $pool.allNamespaces) -}}
{{- $_ := set $own "namespaces" $known.namespaces -}}
{{- end -}}
{{- $pools = append $pools (merge $own (omit $pool "port" "servicePort" "portName" "nodePort" "hostPort" "appProtocol")) -}}
{{- end -}}
{{- $log := dict -}}
{{- range $key, $value := ternary dict (dict "level" (.Values.log.level | default .Values.env.logLevel) "format" (.Values.log.format | default .Values.env.logFormat)) (empty .Values.pools) -}}
{{- if $value -}}{{- $_ := set $log $key $value -}}{{- end -}}
{{- end -}}
{{- merge (dict "pools" $pools) (ternary (dict "log" $log) (dict) (not (empty $log))) | toYaml -}}
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
