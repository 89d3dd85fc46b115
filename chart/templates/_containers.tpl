{{/* The seconds between "no new clients, please" and Traefik's end: the Service has forgotten the pod by then. */}}
{{- define "ilb.sleep" -}}
{{- $seconds := include "ilb.seconds" .Values.drain.delay | int -}}
{{- if and $seconds (eq (include "ilb.preStop" .) "true") -}}
preStop:
  sleep:
    seconds: {{ $seconds }}
{{- end }}
{{- end }}

{{- define "ilb.ilb.resources" -}}
{{- .Values.resources | default .Values.ilb.resources | toYaml }}
{{- end }}

{{- define "ilb.traefik.resources" -}}
{{- .Values.resources | default .Values.traefik.resources | toYaml }}
{{- end }}

{{- define "ilb.container.ilb" -}}
name: ilb
image: {{ include "ilb.image" (dict "root" . "image" .Values.image "tag" .Chart.AppVersion) | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.ilb.extraArgs }}
args:
  {{- toYaml . | nindent 2 }}
{{- end }}
env:
  {{- include "ilb.environment" . | nindent 2 }}
  {{- with .Values.ilb.extraEnv }}
  {{- tpl (toYaml .) $ | nindent 2 }}
  {{- end }}
{{- with .Values.ilb.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  - name: ilb
    containerPort: 8081
    protocol: TCP
startupProbe:
  httpGet:
    path: /startupz # the backends are known, or 10 s are over; Traefik is started after this
    port: 8081
  {{- with .Values.ilb.startupProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
readinessProbe:
  httpGet:
    path: /readyz # a pool is proved to be in force
    port: 8081
  {{- with .Values.ilb.readinessProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
livenessProbe:
  httpGet:
    path: /livez
    port: 8081
  {{- with .Values.ilb.livenessProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $sleep := ternary dict (include "ilb.sleep" . | fromYaml) (not (empty .Values.nativeSidecar)) }}
{{- with merge (dict) (.Values.ilb.lifecycle | default dict) $sleep }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- include "ilb.ilb.resources" . | nindent 2 }}
volumeMounts:
  - name: token
    mountPath: /var/run/secrets/kubernetes.io/serviceaccount
    readOnly: true
  {{- if include "ilb.hasFile" . }}
  - name: settings
    mountPath: /etc/ilb
    readOnly: true
  {{- end }}
  {{- if .Values.closing.enabled }}
  - name: closer
    mountPath: {{ include "ilb.closer.folder" . }}
  {{- end }}
  {{- with concat (.Values.volumeMounts | default list) (.Values.ilb.extraVolumeMounts | default list) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* The single pool of `env` is described by variables, but for its rules of closing; pools by a file that ilb reloads. */}}
{{- define "ilb.environment" -}}
- name: TRAEFIK_API_URL
  value: http://127.0.0.1:8080
{{- $named := false }}
{{- range .Values.ilb.extraEnv }}
{{- if eq .name "ILB_ADMIN_HOSTS" }}
{{- $named = true }}
{{- end }}
{{- end }}
{{- if and .Values.metrics.service.enabled (not $named) }}
- name: ILB_ADMIN_HOSTS # ilb knows the longer names of Services, but this one could be somebody else's domain
  value: {{ printf "%s-metrics.%s" (include "ilb.fullname" .) (include "ilb.namespace" .) | quote }}
{{- end }}
{{- if .Values.closing.enabled }}
- name: ILB_CLOSER_SOCKET
  value: {{ include "ilb.closer.folder" . }}/closer.sock
{{- end }}
{{- if include "ilb.hasFile" . }}
- name: ILB_CONFIG
  value: /etc/ilb/ilb.yaml
{{- end }}
{{- if not .Values.pools }}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: POD_LABELS
  value: {{ include "ilb.relay" . | quote }}
{{- range $name, $value := dict
  "BACKEND_PORT" .Values.env.backendPort
  "LB_METHOD" .Values.env.lbMethod
  "LOG_FORMAT" (.Values.log.format | default .Values.env.logFormat)
  "LOG_LEVEL" (.Values.log.level | default .Values.env.logLevel)
  "UPDATE_INTERVAL" .Values.env.updateinterval
  "USE_WATCH" .Values.env.useWatch }}
{{- if not (has (toString $value) (list "" "<nil>")) }}
- name: {{ $name }}
  value: {{ ternary ($value | int | toString) (toString $value) (kindIs "float64" $value) | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "ilb.container.traefik" -}}
name: traefik
image: {{ include "ilb.image" (dict "root" . "image" .Values.traefik.image "tag" "") | quote }}
imagePullPolicy: {{ .Values.traefik.image.pullPolicy }}
args:
  - --configfile=/etc/traefik/traefik.yml
{{- with .Values.traefik.extraEnv }}
env:
  {{- tpl (toYaml .) $ | nindent 2 }}
{{- end }}
{{- with .Values.traefik.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- range include "ilb.pools" . | fromYamlArray }}
  - name: {{ .portName | quote }}
    containerPort: {{ int .port }}
    {{- with .hostPort }}
    hostPort: {{ int . }}
    {{- end }}
    protocol: TCP
  {{- end }}
  - name: metrics
    containerPort: 9090
    protocol: TCP
startupProbe:
  httpGet:
    path: /ping
    port: 9090
  {{- with .Values.traefik.startupProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
readinessProbe:
  httpGet:
    path: /ping
    port: 9090
  {{- with .Values.traefik.readinessProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
livenessProbe:
  httpGet:
    path: /ping
    port: 9090
  {{- with .Values.traefik.livenessProbe }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (include "ilb.sleep" . | fromYaml) (.Values.traefik.lifecycle | default dict) }}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- include "ilb.traefik.resources" . | nindent 2 }}
volumeMounts:
  - name: traefik
    mountPath: /etc/traefik
    readOnly: true
  {{- with concat (.Values.volumeMounts | default list) (.Values.traefik.extraVolumeMounts | default list) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
