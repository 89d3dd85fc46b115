{{/*
Values that cannot work, each refused with a sentence that says what to do, before anything is created: what the API
server would refuse, and what would fail later in the pod. They are here although there is a schema: a schema sees one
value at a time, and can be skipped.
*/}}
{{- define "ilb.checks" -}}
{{- include "ilb.checks.present" . -}}
{{- include "ilb.checks.names" . -}}
{{- include "ilb.checks.labels" . -}}
{{- include "ilb.checks.pools" . -}}
{{- include "ilb.checks.ports" . -}}
{{- include "ilb.checks.services" . -}}
{{- include "ilb.checks.exposure" . -}}
{{- include "ilb.checks.pod" . -}}
{{- include "ilb.checks.network" . -}}
{{- include "ilb.checks.closing" . -}}
{{- include "ilb.checks.scale" . -}}
{{- include "ilb.checks.rest" . -}}
{{- end }}

{{/* A value that is missing was set to null, or comes from the values of an earlier version. */}}
{{- define "ilb.checks.present" -}}
{{- range $path := list "env" "log" "image" "ilb" "traefik" "traefik.image" "drain" "closing" "siblings" "zones" "autoscaling" "podDisruptionBudget" "updateStrategy" "service" "metrics" "metrics.service" "metrics.podMonitor" "metrics.serviceMonitor" "metrics.prometheusRule" "metrics.prometheusRule.thresholds" "metrics.dashboard" "networkPolicy" "serviceAccount" "rbac" "test" "kind" "drain.timeout" "drain.delay" "traefik.image.tag" -}}
{{- $value := $.Values -}}
{{- range splitList "." $path -}}{{- $value = index ($value | default dict) . -}}{{- end -}}
{{- if kindIs "invalid" $value -}}
{{- fail (printf "the value %s is missing: it was set to null, or the values are those of an earlier version of the chart (helm upgrade --reuse-values). Leave it out, or upgrade with --reset-then-reuse-values" $path) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.exposure" -}}
{{- if .Values.hostNetwork -}}
{{- fail "hostNetwork cannot be set: the loopback of the pod would be that of the node, and every process on the node could write Traefik's configuration through port 8080" -}}
{{- end -}}
{{- $config := .Values.traefik.config | default dict -}}
{{- range $key := list "api" "providers" "ping" "global" -}}
{{- if hasKey $config $key -}}
{{- fail (printf "traefik.config.%s cannot be set: the chart keeps it such that only ilb can write Traefik's configuration and the probes work" $key) -}}
{{- end -}}
{{- end -}}
{{- if dig "metrics" "prometheus" "entryPoint" "" $config -}}
{{- fail "traefik.config.metrics.prometheus.entryPoint cannot be set: the chart serves Traefik's metrics at port 9090, where no client connects" -}}
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
{{- range $key, $value := dict "graceTimeOut" "drain.timeout" "requestAcceptGraceTimeout" "drain.delay" -}}
{{- if hasKey (dig "transport" "lifeCycle" dict $entryPoint) $key -}}
{{- fail (printf "traefik.config.entryPoints.%s.transport.lifeCycle.%s cannot be set, because the pod's termination grace period has to fit it: set %s" $name $key $value) -}}
{{- end -}}
{{- end -}}
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
{{- $links := list -}}
{{- range .Values.backendLinks -}}
{{- if has .name $links -}}
{{- fail (printf "two backendLinks have the name %q: give each a name of its own" .name) -}}
{{- end -}}
{{- $links = append $links .name -}}
{{- end -}}
{{- $alerts := list -}}
{{- range include "ilb.alerts" . | fromYamlArray -}}{{- $alerts = append $alerts .alert -}}{{- end -}}
{{- range $name, $_ := .Values.metrics.prometheusRule.alerts -}}
{{- if not (has $name $alerts) -}}
{{- fail (printf "metrics.prometheusRule.alerts: there is no alert %s (there are %s)" $name (join ", " $alerts)) -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) .Values.rbac.create -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: the right to read pods would go to the account \"default\", which others use too. Name the account, or set rbac.create=false" -}}
{{- end -}}
{{- end }}
