{{/*
The Services for clients, as at (the place in the values), name (empty for that of `service`), wanted (names of pools; empty:
all), values (the fields, as in `service`), and ports: pool, name, port, targetPort, nodePort, appProtocol.
*/}}
{{- define "ilb.services" -}}
{{- $pools := include "ilb.pools" . | fromYamlArray -}}
{{- $services := list -}}
{{- if ne (toString .Values.service.enabled) "false" -}}
{{- $services = append $services (dict "at" "service" "name" "" "wanted" (.Values.service.pools | default list) "values" .Values.service) -}}
{{- end -}}
{{- range $i, $service := .Values.services -}}
{{- $values := merge (dict "type" ($service.type | default "ClusterIP")) $service -}}
{{- $services = append $services (dict "at" (printf "services[%d] (%s)" $i (toString $service.name)) "name" (toString $service.name) "wanted" ($service.pools | default list) "values" $values) -}}
{{- end -}}
{{- range $service := $services -}}
{{- $ports := list -}}
{{- range $pool := $pools -}}
{{- if or (not $service.wanted) (has .name $service.wanted) -}}
{{- $own := dig "ports" .name dict $service.values -}}
{{- $port := dict "pool" .name "name" .portName "targetPort" .port "port" ($own.port | default .servicePort) "appProtocol" .appProtocol -}}
{{- $_ := set $port "nodePort" (ternary $own.nodePort ($own.nodePort | default .nodePort) (not (empty $service.name))) -}}
{{- $ports = append $ports $port -}}
{{- end -}}
{{- end -}}
{{- $_ := set $service "ports" $ports -}}
{{- end -}}
{{- $services | toYaml -}}
{{- end }}
