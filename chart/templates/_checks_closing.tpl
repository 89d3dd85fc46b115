{{/* Closing connections on purpose: where the closer could not work, or would not be admitted. */}}
{{- define "ilb.checks.closing" -}}
{{- $closing := .Values.closing -}}
{{- if and .Values.pools .Values.env.closing -}}
{{- fail "env.closing is for the single pool of env.relay, and pools is set: give closing in each pool instead" -}}
{{- end -}}
{{- range include "ilb.pools" . | fromYamlArray -}}
{{- include "ilb.checks.rules" . -}}
{{- if include "ilb.closes" .closing -}}
{{- include "ilb.checks.one-traefik" (dict "name" .name "variables" $.Values.ilb.extraEnv) -}}
{{- end -}}
{{- end -}}
{{- range $closing.networks -}}
{{- if not (regexMatch (include "ilb.pattern.cidr" $) .) -}}
{{- fail (printf "closing.networks: %q is not a network: write such as 10.0.0.0/8" .) -}}
{{- end -}}
{{- end -}}
{{- if $closing.enabled -}}
{{- $limits := include "ilb.closer" . | fromYaml -}}
{{- with $limits.withoutNetworks -}}
{{- fail (printf "closing.enabled needs to know the networks of the backends, because the closer closes no connection to another address: set closing.networks, such as [10.0.0.0/8], or allowedNetworks in the pool %s" (first .)) -}}
{{- end -}}
{{- if not $limits.networks -}}
{{- fail "closing.enabled needs to know the networks of the backends, because the closer closes no connection to another address: set closing.networks, such as [10.0.0.0/8]" -}}
{{- end -}}
{{- range $limits.networks -}}
{{- if hasSuffix "/0" . -}}
{{- fail (printf "closing.enabled: the network %s is every address, and the closer could close ilb's connection to the API server, too: give the networks of the pods in closing.networks" .) -}}
{{- end -}}
{{- end -}}
{{- with $limits.withoutPorts -}}
{{- fail (printf "closing.enabled needs to know the ports of the backends as numbers, because the closer closes no connection to another port, and the pool %s has them by name or in a file: give a number as backendPort, or all ports in closing.ports" (first .)) -}}
{{- end -}}
{{- if not $limits.ports -}}
{{- fail "closing.enabled needs to know the ports of the backends as numbers, because the closer closes no connection to another port: set closing.ports" -}}
{{- end -}}
{{- if not (hasKey $limits "user") -}}
{{- fail "closing.enabled needs to know the user of ilb, whose orders the closer follows: set podSecurityContext.runAsUser" -}}
{{- end -}}
{{- range include "ilb.pools" . | fromYamlArray -}}
{{- $rules := .closing | default dict -}}
{{- $name := .name -}}
{{- /* Backends that have to be left are left at 200 a second (reconciler/src/closing/role.rs). */ -}}
{{- if and $closing.maxRate (lt (int $closing.maxRate) 200) (or (eq (toString $rules.onSelectorLeft) "close") (dig "drain" "enabled" false $rules)) -}}
{{- fail (printf "pool %s: onSelectorLeft=close and drain may have to close 200 connections a second, and closing.maxRate=%d is less: raise it to 200" $name (int $closing.maxRate)) -}}
{{- end -}}
{{- range $key, $rate := dict "rebalance.maxRate" (dig "rebalance" "maxRate" 0 $rules) "ageMaxRate" ($rules.ageMaxRate | default 0) -}}
{{- if and $closing.maxRate (gt (int $rate) (int $closing.maxRate)) -}}
{{- fail (printf "pool %s: closing.%s=%d is above the limit of the closer, closing.maxRate=%d: raise one or lower the other" $name $key (int $rate) (int $closing.maxRate)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $level := include "ilb.podSecurityLevel" . -}}
{{- if has $level (list "baseline" "restricted") -}}
{{- fail (printf "closing.enabled adds a container with the capability NET_ADMIN, and the namespace %s does not admit it (pod-security.kubernetes.io/enforce=%s): install the release into a namespace of its own with the level privileged, and give the namespaces of the backends in the pools; or leave closing.enabled out, and only see what would be closed" (include "ilb.namespace" .) $level) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The rules of a pool: what ilb would refuse at its start. */}}
{{- define "ilb.checks.rules" -}}
{{- $pool := . -}}
{{- $rules := .closing | default dict -}}
{{- $closes := eq (toString $rules.onSelectorLeft) "close" -}}
{{- if include "ilb.closes" $rules -}}
{{- if eq (toString .method) "roundrobin" -}}
{{- fail (printf "pool %s: the method roundrobin does not fit the rules under closing, because connections are counted only with leastconn: use that, or switch the rules off" .name) -}}
{{- end -}}
{{- if and .updateInterval (gt (include "ilb.milliseconds" .updateInterval | float64) 4000.0) -}}
{{- fail (printf "pool %s: updateInterval=%s is too long for the rules under closing, because what is known of the connections would be stale: give at most 4s, or switch the rules off" .name .updateInterval) -}}
{{- end -}}
{{- end -}}
{{- if and $closes (or .service .file) -}}
{{- fail (printf "pool %s: closing.onSelectorLeft=close does not fit a service or a file, which do not show why a backend left: give a selector, or keep" .name) -}}
{{- end -}}
{{- if and $closes (eq (toString .watch) "false") -}}
{{- fail (printf "pool %s: closing.onSelectorLeft=close needs a watch, because a list does not show why a backend left: watch, or give keep" .name) -}}
{{- end -}}
{{- if and (hasKey $rules "waitForSuccessor") (not $closes) -}}
{{- fail (printf "pool %s: closing.waitForSuccessor has no effect without onSelectorLeft=close: remove it, or set that" .name) -}}
{{- end -}}
{{- range $key := list "ageJitter" "ageGrace" "ageMaxRate" "ageQuiet" "evenAlone" -}}
{{- if and (hasKey $rules $key) (not $rules.maxAge) -}}
{{- fail (printf "pool %s: closing.%s has no effect without maxAge: remove it, or set that" $pool.name $key) -}}
{{- end -}}
{{- end -}}
{{- if and (hasKey $rules "only") (not (or (dig "rebalance" "enabled" false $rules) $rules.maxAge)) -}}
{{- fail (printf "pool %s: closing.only has no effect without rebalance.enabled or maxAge: remove it, or set one of them" .name) -}}
{{- end -}}
{{- $start := dig "rebalance" "startAbove" "20%" $rules | trimSuffix "%" | atoi -}}
{{- $stop := dig "rebalance" "stopAt" "5%" $rules | trimSuffix "%" | atoi -}}
{{- if ge $stop $start -}}
{{- fail (printf "pool %s: closing.rebalance.stopAt=%d%% has to be less than startAbove=%d%%: a rebalance would end where the next one begins" .name $stop $start) -}}
{{- end -}}
{{- end }}

{{/* Whether the rules close connections for any reason. */}}
{{- define "ilb.closes" -}}
{{- $rules := . | default dict -}}
{{- if or (dig "rebalance" "enabled" false $rules) (dig "drain" "enabled" false $rules) (eq (toString $rules.onSelectorLeft) "close") $rules.maxAge -}}true{{- end -}}
{{- end }}

{{/* The connections of other Traefiks than the one in the pod cannot be seen: of (dict "name" pool "variables" list). */}}
{{- define "ilb.checks.one-traefik" -}}
{{- $name := .name -}}
{{- range .variables -}}
{{- if or (eq (toString .name) "ILB_TRAEFIK_DNS") (and (eq (toString .name) "ILB_TRAEFIK_URLS") (contains "," (toString .value))) -}}
{{- fail (printf "pool %s: the rules under closing do not fit several Traefiks (ilb.extraEnv has %s), whose connections cannot be seen from one place: leave the variable out, or switch the rules off" $name .name) -}}
{{- end -}}
{{- end -}}
{{- end }}
