{{/* The pools and their ports. */}}
{{- define "ilb.checks.pools" -}}
{{- $env := .Values.env -}}
{{- $relay := include "ilb.relay" . -}}
{{- if and .Values.pools $relay -}}
{{- fail "env.relay and pools both say which backends to use: keep one of them (pools is for more than one selector, env.relay for a single one)" -}}
{{- end -}}
{{- if not (or .Values.pools $relay) -}}
{{- fail "which pods are the backends? Set env.relay to a label selector, such as --set env.relay=app=my-app, or describe pools" -}}
{{- end -}}
{{- if and (kindIs "string" $env.relay) (regexMatch "^\\s*[A-Za-z0-9._/-]+\\s*$" $env.relay) -}}
{{- fail (printf "env.relay: %q is only a name, and a selector needs a key and a value: write app=%s, or relay=%s if your pods have the label relay (which earlier versions added by themselves)" $env.relay $env.relay $env.relay) -}}
{{- end -}}
{{- if and $relay (not (regexMatch (include "ilb.pattern.selector" .) $relay)) -}}
{{- fail (printf "env.relay: %q is not a label selector: write such as app=my-app, or app in (a,b),!canary" $relay) -}}
{{- end -}}
{{- if not (kindIs "invalid" $env.backendPort) -}}
{{- include "ilb.checks.backendPort" (dict "at" "env.backendPort" "port" $env.backendPort) -}}
{{- end -}}
{{- if .Values.pools -}}
{{- range $key := list "backendPort" "updateinterval" "useWatch" "portname" "lbMethod" -}}
{{- if not (has (toString (index $env $key)) (list "" "<nil>")) -}}
{{- fail (printf "env.%s is for the single pool of env.relay, and pools is set: give it in each pool instead (backendPort, updateInterval, watch, portName, method)" $key) -}}
{{- end -}}
{{- end -}}
{{- if or .Values.service.port .Values.service.nodePort .Values.service.hostPort .Values.service.appProtocol -}}
{{- fail "service.port, service.nodePort, service.hostPort and service.appProtocol are for the single pool of env.relay, and pools is set: give servicePort, nodePort, hostPort and appProtocol in each pool instead" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.zones.fromNode (not (include "ilb.prefersZones" .)) -}}
{{- fail "zones.fromNode is for pools with zones: prefer, and there is none: give that in a pool, or leave zones.fromNode out" -}}
{{- end -}}
{{- range $i, $pool := .Values.pools -}}
{{- $name := $pool.name | default "default" -}}
{{- $sources := 0 -}}
{{- range $key := list "selector" "service" "file" -}}
{{- if index $pool $key -}}{{- $sources = add1 $sources -}}{{- end -}}
{{- end -}}
{{- if ne (int $sources) 1 -}}
{{- fail (printf "pools[%d] (%s): give exactly one of selector, service and file; it has %d" $i $name (int $sources)) -}}
{{- end -}}
{{- if and $pool.allNamespaces $pool.namespaces -}}
{{- fail (printf "pools[%d] (%s): give namespaces or allNamespaces, not both" $i $name) -}}
{{- end -}}
{{- if and $pool.service (or $pool.allNamespaces (gt (len ($pool.namespaces | default list)) 1)) -}}
{{- fail (printf "pools[%d] (%s): a Service is in one namespace: give that one in namespaces" $i $name) -}}
{{- end -}}
{{- if and $pool.selector (not (regexMatch (include "ilb.pattern.selector" $) $pool.selector)) -}}
{{- fail (printf "pools[%d] (%s): %q is not a label selector: write such as app=my-app, or app in (a,b),!canary" $i $name $pool.selector) -}}
{{- end -}}
{{- if and $pool.service (not (regexMatch "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" $pool.service)) -}}
{{- fail (printf "pools[%d] (%s): %q cannot be the name of a Service" $i $name $pool.service) -}}
{{- end -}}
{{- range $pool.namespaces -}}
{{- if not (regexMatch (include "ilb.pattern.namespace" $) .) -}}
{{- fail (printf "pools[%d] (%s): %q cannot be the name of a namespace, which has at most 63 small letters, digits and '-'" $i $name .) -}}
{{- end -}}
{{- end -}}
{{- range $pool.allowedNetworks -}}
{{- if not (regexMatch (include "ilb.pattern.cidr" $) .) -}}
{{- fail (printf "pools[%d] (%s): %q in allowedNetworks is not a network: write such as 10.0.0.0/8" $i $name .) -}}
{{- end -}}
{{- end -}}
{{- if hasKey $pool "backendPort" -}}
{{- include "ilb.checks.backendPort" (dict "at" (printf "pools[%d] (%s): backendPort" $i $name) "port" $pool.backendPort) -}}
{{- end -}}
{{- if and (gt (len $.Values.pools) 1) (not $pool.name) -}}
{{- fail (printf "pools[%d] has no name: with more than one pool each needs one" $i) -}}
{{- end -}}
{{- if and (gt (len $.Values.pools) 1) (not $pool.port) -}}
{{- fail (printf "pools[%d] (%s) has no port: with more than one pool each needs the port where Traefik listens for it" $i $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A port of the backends is a number or the name of a port of the containers. */}}
{{- define "ilb.checks.backendPort" -}}
{{- $port := toString .port -}}
{{- if kindIs "float64" .port -}}{{- $port = .port | int64 | toString -}}{{- end -}}
{{- if regexMatch "^[0-9]+$" $port -}}
{{- if or (lt (atoi $port) 1) (gt (atoi $port) 65535) -}}
{{- fail (printf "%s: %s is not a port: give 1 to 65535, or the name of a port of the containers" .at $port) -}}
{{- end -}}
{{- else if and $port (not (include "ilb.isPortName" $port)) -}}
{{- fail (printf "%s: %q is neither a port nor the name of one: names have at most 15 small letters, digits and '-', one letter at least" .at $port) -}}
{{- end -}}
{{- end }}

{{/* Whether Kubernetes accepts the name for a port of a container. */}}
{{- define "ilb.isPortName" -}}
{{- if and (regexMatch (include "ilb.pattern.portName" .) .) (regexMatch "[a-z]" .) (not (contains "--" .)) -}}true{{- end -}}
{{- end }}

{{- define "ilb.checks.ports" -}}
{{- $seen := dict -}}
{{- range include "ilb.pools" . | fromYamlArray -}}
{{- $port := int .port -}}
{{- if has $port (list 8080 8081 9090) -}}
{{- fail (printf "pool %s cannot listen at port %d: in the pod, 8080 is Traefik's write API (on loopback only), 8081 is ilb and 9090 Traefik's metrics. Give another port" .name $port) -}}
{{- end -}}
{{- if lt $port 1024 -}}
{{- fail (printf "pool %s cannot listen at port %d: ports below 1024 need privileges. Give a port of 1024 or above, and servicePort: %d for the clients" .name $port $port) -}}
{{- end -}}
{{- if has .entryPoint (list "traefik" "metrics") -}}
{{- fail (printf "pool %s cannot use the entry point %q: that is one of Traefik's own. Give another entryPoint" .name .entryPoint) -}}
{{- end -}}
{{- if has .portName (list "ilb" "metrics") -}}
{{- fail (printf "pool %s cannot have the port name %q: that is one of the pod's other ports. Give another portName (or env.portname)" .name .portName) -}}
{{- end -}}
{{- if not (include "ilb.isPortName" .portName) -}}
{{- fail (printf "pool %s cannot have the port name %q: names of ports have at most 15 small letters, digits and '-', one letter at least and no '--'. Give portName in the pool (or env.portname)" .name .portName) -}}
{{- end -}}
{{- range $kind, $value := dict "name" .name "entryPoint" .entryPoint "port" $port "portName" .portName "hostPort" (.hostPort | default dict) -}}
{{- $key := printf "%s %v" $kind $value -}}
{{- if and (not (kindIs "map" $value)) (hasKey $seen $key) -}}
{{- fail (printf "two pools have the %s: each needs its own" $key) -}}
{{- end -}}
{{- $_ := set $seen $key true -}}
{{- end -}}
{{- end -}}
{{- end }}
