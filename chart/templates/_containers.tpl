{{/* The seconds between "no new clients, please" and Traefik's end: the Service has forgotten the pod by then. */}}
{{- define "ilb.sleep" -}}
{{- with include "ilb.seconds" .Values.drain.delay | int -}}
preStop:
  sleep:
    seconds: {{ . }}
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
  - name: settings
    mountPath: /etc/ilb
    readOnly: true
  {{- if .Values.closing.enabled }}
  - name: closer
    mountPath: {{ include "ilb.closer.folder" . }}
  {{- end }}
  {{- with concat (.Values.volumeMounts | default list) (.Values.ilb.extraVolumeMounts | default list) }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What does not change while a pod lives; all else is in the file that ilb follows. */}}
{{- define "ilb.environment" -}}
- name: TRAEFIK_API_URL
  value: http://127.0.0.1:8080
{{- range $name, $path := dict "ILB_POD" "metadata.name" "ILB_POD_NAMESPACE" "metadata.namespace" "ILB_NODE" "spec.nodeName" }}
- name: {{ $name }}
  valueFrom:
    fieldRef:
      fieldPath: {{ $path }}
{{- end }}
- name: ILB_RELEASE
  value: {{ .Release.Name | quote }}
{{- if (.Values.kubernetesEvents | default dict).enabled }}
- name: ILB_KUBERNETES_EVENTS
  value: "true"
- name: ILB_POD_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.uid
{{- end }}
{{- with .Values.connectionLog }}
{{- if .enabled }}
- name: ILB_CONNECTION_LOG
  value: "true"
{{- if ne (toString (.maxRate | default 100)) "100" }}
- name: ILB_CONNECTION_LOG_MAX_RATE
  value: {{ .maxRate | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- $named := false }}
{{- $hasSiblings := false }}
{{- range .Values.ilb.extraEnv }}
{{- if eq .name "ILB_ADMIN_HOSTS" }}
{{- $named = true }}
{{- else if eq .name "ILB_SIBLINGS" }}
{{- $hasSiblings = true }}
{{- end }}
{{- end }}
{{- if and .Values.siblings.enabled (not $hasSiblings) }}
- name: ILB_SIBLINGS # also with one pod, so that scaling does not replace it
  value: {{ printf "%s-siblings" (include "ilb.fullname" .) | quote }}
{{- end }}
{{- if include "ilb.prefersZones" . }}
- name: ILB_ZONE # empty before Kubernetes 1.35, where pods have no such label
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['topology.kubernetes.io/zone']
{{- if .Values.zones.fromNode }}
- name: ILB_ZONE_OF_NODE
  value: "true"
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
- name: ILB_CONFIG
  value: /etc/ilb/ilb.yaml
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
