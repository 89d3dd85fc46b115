{{/*
Combinations of values that cannot work, each refused with a sentence that says what to do. They are here although there
is a schema: a schema sees one value at a time, and can be skipped.
*/}}
{{- define "ilb.checks" -}}
{{- include "ilb.checks.pools" . -}}
{{- include "ilb.checks.ports" . -}}
{{- include "ilb.checks.exposure" . -}}
{{- include "ilb.checks.scale" . -}}
{{- include "ilb.checks.rest" . -}}
{{- end }}

{{- define "ilb.checks.pools" -}}
{{- $env := .Values.env -}}
{{- if and .Values.pools $env.relay -}}
{{- fail "env.relay and pools both say which backends to use: keep one of them (pools is for more than one selector, env.relay for a single one)" -}}
{{- end -}}
{{- if not (or .Values.pools $env.relay) -}}
{{- fail "which pods are the backends? Set env.relay to a label selector, such as --set env.relay=app=my-app, or describe pools" -}}
{{- end -}}
{{- if and $env.relay (regexMatch "^\\s*[A-Za-z0-9._/-]+\\s*$" $env.relay) -}}
{{- fail (printf "env.relay: %q is only a name, and a selector needs a key and a value: write app=%s, or relay=%s if your pods have the label relay (which earlier versions added by themselves)" $env.relay $env.relay $env.relay) -}}
{{- end -}}
{{- if .Values.pools -}}
{{- range $key := list "backendPort" "updateinterval" "useWatch" "portname" "lbMethod" -}}
{{- if not (has (toString (index $env $key)) (list "" "<nil>")) -}}
{{- fail (printf "env.%s is for the single pool of env.relay, and pools is set: give it in each pool instead (backendPort, updateInterval, watch, portName, method)" $key) -}}
{{- end -}}
{{- end -}}
{{- if or .Values.service.port .Values.service.nodePort -}}
{{- fail "service.port and service.nodePort are for the single pool of env.relay, and pools is set: give servicePort and nodePort in each pool instead" -}}
{{- end -}}
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
{{- if and (gt (len $.Values.pools) 1) (not $pool.name) -}}
{{- fail (printf "pools[%d] has no name: with more than one pool each needs one" $i) -}}
{{- end -}}
{{- if and (gt (len $.Values.pools) 1) (not $pool.port) -}}
{{- fail (printf "pools[%d] (%s) has no port: with more than one pool each needs the port where Traefik listens for it" $i $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.ports" -}}
{{- $seen := dict -}}
{{- range include "ilb.pools" . | fromYamlArray -}}
{{- $port := int .port -}}
{{- $servicePort := int .servicePort -}}
{{- if has $port (list 8080 8081 9090) -}}
{{- fail (printf "pool %s cannot listen at port %d: in the pod, 8080 is Traefik's write API (on loopback only), 8081 is ilb and 9090 Traefik's metrics. Give another port" .name $port) -}}
{{- end -}}
{{- if has $servicePort (list 8080 8081 9090) -}}
{{- fail (printf "pool %s cannot have the Service port %d: 8080 is Traefik's write API, 8081 is ilb and 9090 Traefik's metrics, and what looks like one of them must never lead elsewhere. Give another port, such as service.port=%d" .name $servicePort $port) -}}
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
{{- range $kind, $value := dict "name" .name "entryPoint" .entryPoint "port" $port "servicePort" $servicePort "portName" .portName -}}
{{- $key := printf "%s %v" $kind $value -}}
{{- if hasKey $seen $key -}}
{{- fail (printf "two pools have the %s: each needs its own" $key) -}}
{{- end -}}
{{- $_ := set $seen $key true -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.exposure" -}}
{{- if .Values.hostNetwork -}}
{{- fail "hostNetwork cannot be set: the loopback of the pod would be that of the node, and every process on the node could write Traefik's configuration through port 8080" -}}
{{- end -}}
{{- $config := .Values.traefik.config -}}
{{- range $key := list "api" "providers" "ping" "global" -}}
{{- if hasKey $config $key -}}
{{- fail (printf "traefik.config.%s cannot be set: the chart keeps it such that only ilb can write Traefik's configuration and the probes work" $key) -}}
{{- end -}}
{{- end -}}
{{- $known := list -}}
{{- range include "ilb.pools" . | fromYamlArray -}}{{- $known = append $known .entryPoint -}}{{- end -}}
{{- range $name, $entryPoint := ($config.entryPoints | default dict) -}}
{{- if not (has $name $known) -}}
{{- fail (printf "traefik.config.entryPoints.%s cannot be set: the entry points are those of the pools (%s)" $name (join ", " $known)) -}}
{{- end -}}
{{- if hasKey $entryPoint "address" -}}
{{- fail (printf "traefik.config.entryPoints.%s.address cannot be set: give port in the pool" $name) -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := .Values.podLabels -}}
{{- if hasKey (include "ilb.selectorLabels" $ | fromYaml) $key -}}
{{- fail (printf "podLabels: %s is one of the labels that select the pods and cannot be changed: use nameOverride, or another label" $key) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.rest" -}}
{{- if .Values.image.tag_traefik -}}
{{- fail "image.tag_traefik has no meaning any more: Traefik comes from its own image. Remove it, or set traefik.image.repository and traefik.image.tag" -}}
{{- end -}}
{{- if and .Values.log.level .Values.env.logLevel (ne .Values.log.level .Values.env.logLevel) -}}
{{- fail "log.level and env.logLevel contradict each other: keep one of them" -}}
{{- end -}}
{{- if and .Values.log.format .Values.env.logFormat (ne .Values.log.format .Values.env.logFormat) -}}
{{- fail "log.format and env.logFormat contradict each other: keep one of them" -}}
{{- end -}}
{{- if and (eq (include "ilb.metrics.podMonitor" .) "true") .Values.metrics.serviceMonitor.enabled -}}
{{- fail "a PodMonitor (metrics.enabled, metrics.podMonitor.enabled) and a ServiceMonitor (metrics.serviceMonitor.enabled) would both scrape every pod: keep one of them" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.service.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled needs the Service that it scrapes: set metrics.service.enabled=true too, or use metrics.podMonitor.enabled" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) .Values.rbac.create -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: the right to read pods would go to the account \"default\", which others use too. Name the account, or set rbac.create=false" -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.scale" -}}
{{- $scaling := .Values.autoscaling -}}
{{- if $scaling.enabled -}}
{{- $requests := dig "requests" dict (include "ilb.traefik.resources" . | fromYaml) | default dict -}}
{{- if and $scaling.targetCPUUtilizationPercentage (not $requests.cpu) -}}
{{- fail "autoscaling.targetCPUUtilizationPercentage is a share of what Traefik requests: set traefik.resources.requests.cpu" -}}
{{- end -}}
{{- if and $scaling.targetMemoryUtilizationPercentage (not $requests.memory) -}}
{{- fail "autoscaling.targetMemoryUtilizationPercentage is a share of what Traefik requests: set traefik.resources.requests.memory" -}}
{{- end -}}
{{- if not (or $scaling.targetCPUUtilizationPercentage $scaling.targetMemoryUtilizationPercentage $scaling.targetConnections $scaling.metrics) -}}
{{- fail "autoscaling.enabled has nothing to scale by, and Kubernetes would take 80 % of the CPU of the whole pod: set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage, targetConnections or metrics" -}}
{{- end -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- $live := include "ilb.live" . | fromYaml -}}
{{- $running := dig "spec" "replicas" 0 $live | int -}}
{{- if and (gt $running (int $scaling.maxReplicas)) (not (include "ilb.wasScaled" $live)) -}}
{{- fail (printf "%d pods run, and autoscaling.maxReplicas=%d would end the sessions of %d of them: set maxReplicas=%d or more, or scale down first" $running (int $scaling.maxReplicas) (sub $running $scaling.maxReplicas) $running) -}}
{{- end -}}
{{- end -}}
{{- end }}
