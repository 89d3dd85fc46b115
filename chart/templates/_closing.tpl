{{/*
Closing connections on purpose: the container `closer`, which has the only privilege in the pod, and its limits. What is
filled in for it does not depend on the rules of the pools, so that changing them needs no new pods.
*/}}

{{/* The folder of the closer's socket, in its container and in that of ilb. */}}
{{- define "ilb.closer.folder" -}}
/run/ilb
{{- end }}

{{/*
The limits of the closer: networks, ports and entryPorts, user (that of ilb; empty: not known), and what is missing:
withoutNetworks and withoutPorts, the names of pools with rules whose backends it could not close connections to.
*/}}
{{- define "ilb.closer" -}}
{{- $closing := .Values.closing -}}
{{- $limits := dict "networks" list "ports" list "entryPorts" list "withoutNetworks" list "withoutPorts" list -}}
{{- range include "ilb.pools" . | fromYamlArray -}}
{{- $port := (include "ilb.backendPort" .backendPort | fromYaml).port -}}
{{- $_ := set $limits "entryPorts" (append $limits.entryPorts (int .port)) -}}
{{- if .allowedNetworks -}}
{{- $_ := set $limits "networks" (concat $limits.networks .allowedNetworks) -}}
{{- else if and .closing (not $closing.networks) -}}
{{- $_ := set $limits "withoutNetworks" (append $limits.withoutNetworks .name) -}}
{{- end -}}
{{- /* A file of backends has a port for each. */ -}}
{{- if and (kindIs "float64" $port) (not .file) -}}
{{- $_ := set $limits "ports" (append $limits.ports (int $port)) -}}
{{- else if and .closing (not $closing.ports) -}}
{{- $_ := set $limits "withoutPorts" (append $limits.withoutPorts .name) -}}
{{- end -}}
{{- end -}}
{{- if $closing.networks -}}{{- $_ := set $limits "networks" $closing.networks -}}{{- end -}}
{{- if $closing.ports -}}{{- $_ := set $limits "ports" $closing.ports -}}{{- end -}}
{{- range $key := list "networks" "ports" "entryPorts" -}}
{{- $_ := set $limits $key (index $limits $key | uniq) -}}
{{- end -}}
{{- $user := dig "runAsUser" "" (.Values.podSecurityContext | default dict) -}}
{{- $own := .Values.securityContext | default dict -}}
{{- if hasKey $own "runAsUser" -}}{{- $user = $own.runAsUser -}}{{- end -}}
{{- if not (has (toString $user) (list "" "<nil>")) -}}{{- $_ := set $limits "user" (int64 $user) -}}{{- end -}}
{{- toYaml $limits -}}
{{- end }}

{{- define "ilb.container.closer" -}}
{{- $limits := include "ilb.closer" . | fromYaml -}}
name: closer
image: {{ include "ilb.image" (dict "root" . "image" .Values.image "tag" .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args:
  - closer
  - --socket={{ include "ilb.closer.folder" . }}/closer.sock
  - --client-uid={{ int64 $limits.user }}
  - --networks={{ join "," $limits.networks }}
  - --ports={{ range $i, $port := $limits.ports }}{{ if $i }},{{ end }}{{ int $port }}{{ end }}
  - --entry-ports={{ range $i, $port := $limits.entryPorts }}{{ if $i }},{{ end }}{{ int $port }}{{ end }}
  {{- with .Values.closing.maxRate }}
  - --max-rate={{ int . }}
  {{- end }}
  {{- with .Values.closing.maxPerHour }}
  - --max-per-hour={{ int . }}
  {{- end }}
  {{- with .Values.log.level | default .Values.env.logLevel }}
  - --log-level={{ . }}
  {{- end }}
livenessProbe: # patient: while any container restarts, the pod is not ready and gets no new clients
  exec:
    command: [ilb, closer, --check]
  periodSeconds: 30
  timeoutSeconds: 5
  failureThreshold: 6
{{- $sleep := ternary dict (include "ilb.sleep" . | fromYaml) (not (empty .Values.nativeSidecar)) }}
{{- with $sleep }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: # the only rights in the pod; user 0, because other users lose the capability when the program starts
  runAsUser: 0
  runAsNonRoot: false
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
    add: [NET_ADMIN]
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.closing.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
volumeMounts:
  - name: closer
    mountPath: {{ include "ilb.closer.folder" . }}
{{- end }}

{{/* The enforced Pod Security level of the namespace; empty if it has none, or cannot be looked up. It is looked up once. */}}
{{- define "ilb.podSecurityLevel" -}}
{{- if not (hasKey . "podSecurityLevel") -}}
{{- $found := ternary (lookup "v1" "Namespace" "" (include "ilb.namespace" .)) dict (ne (toString .Values.closing.checkNamespace) "false") -}}
{{- $_ := set . "podSecurityLevel" (dig "metadata" "labels" "pod-security.kubernetes.io/enforce" "" ($found | default dict)) -}}
{{- end -}}
{{- .podSecurityLevel -}}
{{- end }}
