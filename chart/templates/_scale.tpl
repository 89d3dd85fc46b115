{{/*
Number of pods that the Deployment asks for, as {"mark": …, "replicas": …}; no "replicas" leaves it to whoever scales.

A manifest that loses its `replicas` makes the API server set 1, which ends the sessions of all other pods. So the number
stays in the manifest once it has been there, as the one that runs, and it stays out if it never was, which is what a
rollback needs. The mark is an annotation of the Deployment that tells the next upgrade what it meets:

  fixed                 the number is replicaCount
  kept, replicaCount=N  the number is what an autoscaler left behind, more than N
  scaled                an autoscaler sets the number, and the manifest has none
  scaled, was fixed     an autoscaler sets the number, and the manifest repeats it

Where Helm sees no cluster (helm template, Argo CD), there is no Deployment to look at.
*/}}
{{- define "ilb.scale" -}}
{{- $live := include "ilb.live" . | fromYaml -}}
{{- $running := dig "spec" "replicas" 0 $live | int -}}
{{- $mark := dig "metadata" "annotations" "ilb.dev/replicas" "" $live -}}
{{- if include "ilb.isScaled" . -}}
{{- if or (not $live) (eq $mark "scaled") -}}
mark: scaled
{{- else -}}
mark: scaled, was fixed
{{- /* An autoscaler ignores a Deployment without pods. */}}
replicas: {{ ternary .Values.autoscaling.minReplicas $running (and (not (empty .Values.autoscaling.enabled)) (eq $running 0)) }}
{{- end -}}
{{- else -}}
{{- $wanted := int .Values.replicaCount -}}
{{- $kept := printf "kept, replicaCount=%d" $wanted -}}
{{- if and (gt $running $wanted) (or (eq $mark $kept) (include "ilb.wasScaled" $live)) -}}
mark: {{ $kept }}
replicas: {{ $running }}
{{- else -}}
mark: fixed
replicas: {{ $wanted }}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The Deployment of this release that runs, or nothing. It is looked up once. */}}
{{- define "ilb.live" -}}
{{- if not (hasKey . "live") -}}
{{- $_ := set . "live" (lookup "apps/v1" "Deployment" (include "ilb.namespace" .) (include "ilb.fullname" .)) -}}
{{- end -}}
{{- .live | toYaml -}}
{{- end }}

{{/* Whether something else than the chart sets the number of pods. */}}
{{- define "ilb.isScaled" -}}
{{- if or .Values.autoscaling.enabled (kindIs "invalid" .Values.replicaCount) -}}true{{- end -}}
{{- end }}

{{/*
Whether there may be several pods that balance as one, which takes a Service, a Role and rules of the network. The pods
themselves do not depend on it, so that scaling replaces none: they always look for siblings, and find none with one pod.
*/}}
{{- define "ilb.hasSiblings" -}}
{{- if .Values.siblings.enabled -}}
{{- if eq .Values.kind "DaemonSet" -}}true
{{- else if .Values.autoscaling.enabled -}}
{{- if gt (int .Values.autoscaling.maxReplicas) 1 -}}true{{- end -}}
{{- else if kindIs "invalid" .Values.replicaCount -}}true
{{- else -}}
{{- $scale := include "ilb.scale" . | fromYaml -}}
{{- if gt (int $scale.replicas) 1 -}}true{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Whether an autoscaler set the number of pods of this Deployment. Earlier versions of the chart left no mark. */}}
{{- define "ilb.wasScaled" -}}
{{- $mark := dig "metadata" "annotations" "ilb.dev/replicas" "" . -}}
{{- if hasPrefix "scaled" $mark -}}true
{{- else if not $mark -}}
{{- range dig "metadata" "managedFields" list . -}}
{{- if and (eq (dig "subresource" "" .) "scale") (eq .manager "kube-controller-manager") -}}true{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
