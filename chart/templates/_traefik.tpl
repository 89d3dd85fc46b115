{{/* Traefik's static configuration: files/traefik.yml, with an entry point for each pool and the time to drain. */}}
{{- define "ilb.traefik.config" -}}
{{- $config := .Files.Get "files/traefik.yml" | fromYaml -}}
{{- $listener := $config.entryPoints.tcp -}}
{{- $_ := unset $config.entryPoints "tcp" -}}
{{- $cycle := $listener.transport.lifeCycle -}}
{{- $_ := set $cycle "graceTimeOut" .Values.drain.timeout -}}
{{- /* The hook that sleeps before has done it: meanwhile ilb can still configure Traefik, which has not been told to end. */ -}}
{{- $_ := set $cycle "requestAcceptGraceTimeout" "0s" -}}
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
