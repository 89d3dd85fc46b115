{{/* Traefik's static configuration: files/traefik.yml, with an entry point for each pool and the time to drain. */}}
{{- define "ilb.traefik.config" -}}
{{- $config := .Files.Get "files/traefik.yml" | fromYaml -}}
{{- $listener := $config.entryPoints.tcp -}}
{{- $_ := unset $config.entryPoints "tcp" -}}
{{- $cycle := $listener.transport.lifeCycle -}}
{{- $_ := set $cycle "graceTimeOut" .Values.drain.timeout -}}
{{- /* While a preStop hook sleeps, everything still works; without one Traefik itself goes on accepting meanwhile. */ -}}
{{- $_ := set $cycle "requestAcceptGraceTimeout" (ternary "0s" .Values.drain.delay (eq (include "ilb.preStop" .) "true")) -}}
{{- range include "ilb.pools" . | fromYamlArray -}}
{{- $_ := set $config.entryPoints .entryPoint (merge (dict "address" (printf ":%d" (int .port))) (deepCopy $listener)) -}}
{{- end -}}
{{- mergeOverwrite $config (deepCopy (.Values.traefik.config | default dict)) | toYaml -}}
{{- end }}

{{/* What Traefik does until ilb has configured it: files/bootstrap.yml, for the entry points of all pools. */}}
{{- define "ilb.traefik.bootstrap" -}}
{{- $config := .Files.Get "files/bootstrap.yml" | fromYaml -}}
{{- $entryPoints := list -}}
{{- range include "ilb.pools" . | fromYamlArray -}}
{{- $entryPoints = append $entryPoints .entryPoint -}}
{{- end -}}
{{- $_ := set $config.tcp.routers.bootstrap "entryPoints" $entryPoints -}}
{{- toYaml $config -}}
{{- end }}

{{/* Whether the API server knows the sleep action of hooks: on by default since 1.30. */}}
{{- define "ilb.preStop" -}}
{{- semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version -}}
{{- end }}
