{{/* What the API server, or the kubelet, would refuse in the pods. */}}
{{- define "ilb.checks.pod" -}}
{{- include "ilb.checks.probes" . -}}
{{- include "ilb.checks.containers" . -}}
{{- include "ilb.checks.volumes" . -}}
{{- include "ilb.checks.resources" . -}}
{{- include "ilb.checks.security" . -}}
{{- include "ilb.checks.placement" . -}}
{{- if and (eq (toString .Values.dnsPolicy) "None") (not (dig "nameservers" list (.Values.dnsConfig | default dict))) -}}
{{- fail "dnsPolicy=None needs dnsConfig.nameservers" -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.probes" -}}
{{- range $container := list "ilb" "traefik" -}}
{{- range $probe := list "startupProbe" "readinessProbe" "livenessProbe" -}}
{{- $timing := index $.Values $container $probe | default dict -}}
{{- if and (ne $probe "readinessProbe") (gt (int ($timing.successThreshold | default 1)) 1) -}}
{{- fail (printf "%s.%s.successThreshold has to be 1: only a readinessProbe may ask for more than one success" $container $probe) -}}
{{- end -}}
{{- if and (eq $probe "readinessProbe") (hasKey $timing "terminationGracePeriodSeconds") -}}
{{- fail (printf "%s.readinessProbe cannot have terminationGracePeriodSeconds: it ends no container" $container) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (include "ilb.seconds" .Values.drain.delay | int) (dig "preStop" "" (.Values.traefik.lifecycle | default dict)) -}}
{{- fail "traefik.lifecycle.preStop would replace the wait of drain.delay, and clients would be refused: set drain.delay=0s if your hook waits by itself" -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.containers" -}}
{{- $seen := dict "ilb" true "traefik" true "closer" true -}}
{{- range $key := list "extraInitContainers" "extraContainers" -}}
{{- range $i, $container := index $.Values $key -}}
{{- $name := toString $container.name -}}
{{- if not (and (kindIs "string" $container.name) (regexMatch (include "ilb.pattern.namespace" $) $name)) -}}
{{- fail (printf "%s[%d] needs a name of at most 63 small letters, digits and '-', in quotes if it could be something else" $key $i) -}}
{{- end -}}
{{- if hasKey $seen $name -}}
{{- fail (printf "%s[%d]: another container of the pod has the name %q: give another name" $key $i $name) -}}
{{- end -}}
{{- $_ := set $seen $name true -}}
{{- if not $container.image -}}
{{- fail (printf "%s[%d] (%s) has no image" $key $i $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $own := list -}}
{{- range include "ilb.environment" . | fromYamlArray -}}{{- $own = append $own .name -}}{{- end -}}
{{- /* Variables take precedence over the file, so these would keep a value from being followed. */ -}}
{{- $values := dict "POD_LABELS" "env.relay" "ILB_SELECTOR" "env.relay" "BACKEND_PORT" "env.backendPort" "ILB_BACKEND_PORT" "env.backendPort" "LB_METHOD" "env.lbMethod" "ILB_METHOD" "env.lbMethod" "UPDATE_INTERVAL" "env.updateinterval" "ILB_UPDATE_INTERVAL" "env.updateinterval" "USE_WATCH" "env.useWatch" "ILB_WATCH" "env.useWatch" "POD_NAMESPACE" "pools" "ILB_NAMESPACES" "pools" "LOG_LEVEL" "log.level" "ILB_LOG_LEVEL" "log.level" "LOG_FORMAT" "log.format" "ILB_LOG_FORMAT" "log.format" -}}
{{- range $variable := .Values.ilb.extraEnv -}}
{{- with get $values (toString $variable.name) -}}
{{- fail (printf "ilb.extraEnv: %s would take precedence over %s, which is followed without new pods: use that" $variable.name .) -}}
{{- end -}}
{{- end -}}
{{- include "ilb.checks.variables" (dict "at" "ilb.extraEnv" "variables" .Values.ilb.extraEnv "own" $own) -}}
{{- include "ilb.checks.variables" (dict "at" "traefik.extraEnv" "variables" .Values.traefik.extraEnv "own" list) -}}
{{- end }}

{{/* A variable that is set twice is refused by server-side apply, which is what Helm 4 does. */}}
{{- define "ilb.checks.variables" -}}
{{- $at := .at -}}
{{- $own := .own -}}
{{- $seen := dict -}}
{{- range $i, $variable := .variables -}}
{{- $name := toString $variable.name -}}
{{- if not (and (kindIs "string" $variable.name) (regexMatch "^[A-Za-z_.-][A-Za-z0-9_.-]*$" $name)) -}}
{{- fail (printf "%s[%d] needs a name of letters, digits, '_', '-' and '.'" $at $i) -}}
{{- end -}}
{{- if has $name $own -}}
{{- fail (printf "%s: the chart sets %s itself: use the value that it comes from" $at $name) -}}
{{- end -}}
{{- if hasKey $seen $name -}}
{{- fail (printf "%s has %s twice" $at $name) -}}
{{- end -}}
{{- $_ := set $seen $name true -}}
{{- if and (hasKey $variable "value") (hasKey $variable "valueFrom") -}}
{{- fail (printf "%s: %s has both value and valueFrom" $at $name) -}}
{{- end -}}
{{- if and (hasKey $variable "value") (not (kindIs "string" $variable.value)) -}}
{{- fail (printf "%s: the value of %s has to be text: write it in quotes" $at $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.volumes" -}}
{{- $names := list "traefik" "settings" "token" "closer" -}}
{{- range $i, $volume := .Values.volumes -}}
{{- if not (and (kindIs "string" $volume.name) (regexMatch (include "ilb.pattern.namespace" $) (toString $volume.name))) -}}
{{- fail (printf "volumes[%d] needs a name of at most 63 small letters, digits and '-', in quotes if it could be something else" $i) -}}
{{- end -}}
{{- if has $volume.name $names -}}
{{- fail (printf "volumes[%d]: the pod already has a volume %q: give another name" $i $volume.name) -}}
{{- end -}}
{{- $names = append $names $volume.name -}}
{{- end -}}
{{- range $container, $own := dict "ilb" (list "/var/run/secrets/kubernetes.io/serviceaccount" "/etc/ilb" (include "ilb.closer.folder" .)) "traefik" (list "/etc/traefik") -}}
{{- $paths := $own -}}
{{- range $mount := concat ($.Values.volumeMounts | default list) (index $.Values $container "extraVolumeMounts" | default list) -}}
{{- if not (has $mount.name $names) -}}
{{- fail (printf "volumeMounts, %s.extraVolumeMounts: there is no volume %q: add it to volumes" $container (toString $mount.name)) -}}
{{- end -}}
{{- if not $mount.mountPath -}}
{{- fail (printf "volumeMounts, %s.extraVolumeMounts: the mount of %q has no mountPath" $container (toString $mount.name)) -}}
{{- end -}}
{{- if has $mount.mountPath $paths -}}
{{- fail (printf "volumeMounts, %s.extraVolumeMounts: two volumes would be mounted at %s" $container $mount.mountPath) -}}
{{- end -}}
{{- $paths = append $paths $mount.mountPath -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.resources" -}}
{{- range $at, $resources := dict "resources" .Values.resources "ilb.resources" .Values.ilb.resources "traefik.resources" .Values.traefik.resources "closing.resources" .Values.closing.resources "test.resources" .Values.test.resources -}}
{{- range $kind := list "requests" "limits" -}}
{{- range $name, $quantity := index ($resources | default dict) $kind -}}
{{- if not (regexMatch "^[0-9]*\\.?[0-9]+([eE][+-]?[0-9]+|[KMGTPE]i|[munkMGTPE])?$" (include "ilb.quantity.text" $quantity)) -}}
{{- fail (printf "%s.%s.%s: %v is not a quantity: write such as 100m, 0.5, 64Mi or 1Gi" $at $kind $name $quantity) -}}
{{- end -}}
{{- $limit := dig "limits" $name "" ($resources | default dict) -}}
{{- if and (eq $kind "requests") (not (has (toString $limit) (list "" "<nil>"))) -}}
{{- if gt (include "ilb.quantity" $quantity | float64) (include "ilb.quantity" $limit | float64) -}}
{{- fail (printf "%s: the request of %s, %v, is above its limit, %v" $at $name $quantity $limit) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.quantity.text" -}}
{{- if kindIs "float64" . -}}{{- printf "%f" . -}}{{- else -}}{{- toString . -}}{{- end -}}
{{- end }}

{{/* The number that a quantity stands for. */}}
{{- define "ilb.quantity" -}}
{{- $text := include "ilb.quantity.text" . -}}
{{- $unit := regexFind "([KMGTPE]i|[munkMGTPE])$" $text -}}
{{- $factors := dict "" 1.0 "n" 0.000000001 "u" 0.000001 "m" 0.001 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- mulf (trimSuffix $unit $text | float64) (get $factors $unit) -}}
{{- end }}

{{- define "ilb.checks.security" -}}
{{- $pod := .Values.podSecurityContext | default dict -}}
{{- $container := .Values.securityContext | default dict -}}
{{- $user := $pod.runAsUser -}}
{{- if hasKey $container "runAsUser" -}}{{- $user = $container.runAsUser -}}{{- end -}}
{{- if and (or $pod.runAsNonRoot $container.runAsNonRoot) (not (kindIs "invalid" $user)) (eq (int $user) 0) -}}
{{- fail "runAsUser=0 and runAsNonRoot contradict each other, and no container would start: give another runAsUser in podSecurityContext" -}}
{{- end -}}
{{- if and (hasKey $container "allowPrivilegeEscalation") (not $container.allowPrivilegeEscalation) (or $container.privileged (has "SYS_ADMIN" (dig "capabilities" "add" list $container)) (has "CAP_SYS_ADMIN" (dig "capabilities" "add" list $container))) -}}
{{- fail "securityContext: privileged and the capability SYS_ADMIN are refused together with allowPrivilegeEscalation=false" -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.placement" -}}
{{- range $i, $it := concat (.Values.tolerations | default list) (.Values.test.tolerations | default list) -}}
{{- if and (eq (toString $it.operator) "Exists") $it.value -}}
{{- fail (printf "tolerations: operator=Exists tolerates any value, and value=%v is given: leave one of the two out" $it.value) -}}
{{- end -}}
{{- if and (not $it.key) (ne (toString $it.operator) "Exists") -}}
{{- fail "tolerations: one without a key tolerates everything, and needs operator=Exists" -}}
{{- end -}}
{{- if and (hasKey $it "tolerationSeconds") (ne (toString $it.effect) "NoExecute") -}}
{{- fail "tolerations: tolerationSeconds is for effect=NoExecute only" -}}
{{- end -}}
{{- end -}}
{{- $seen := dict -}}
{{- range $i, $it := .Values.topologySpreadConstraints -}}
{{- $key := printf "%v %v" $it.topologyKey $it.whenUnsatisfiable -}}
{{- if hasKey $seen $key -}}
{{- fail (printf "topologySpreadConstraints: two have the topologyKey %v and whenUnsatisfiable=%v: keep one" $it.topologyKey $it.whenUnsatisfiable) -}}
{{- end -}}
{{- $_ := set $seen $key true -}}
{{- if and (hasKey $it "minDomains") (ne (toString $it.whenUnsatisfiable) "DoNotSchedule") -}}
{{- fail "topologySpreadConstraints: minDomains is for whenUnsatisfiable=DoNotSchedule only" -}}
{{- end -}}
{{- end -}}
{{- $strategy := .Values.updateStrategy -}}
{{- $isDaemonSet := eq .Values.kind "DaemonSet" -}}
{{- if has (toString $strategy.type) (ternary (list "Recreate") (list "OnDelete") $isDaemonSet) -}}
{{- fail (printf "updateStrategy.type=%s is not one of a %s: write RollingUpdate or %s" $strategy.type .Values.kind (ternary "OnDelete" "Recreate" $isDaemonSet)) -}}
{{- end -}}
{{- $surge := dig "rollingUpdate" "maxSurge" "25%" $strategy | toString -}}
{{- $unavailable := dig "rollingUpdate" "maxUnavailable" "25%" $strategy | toString -}}
{{- if and (eq (toString $strategy.type) "RollingUpdate") (has $surge (list "0" "0%")) (has $unavailable (list "0" "0%")) -}}
{{- fail "updateStrategy.rollingUpdate: maxSurge and maxUnavailable are both 0, and no pod could ever be replaced: raise one of them" -}}
{{- end -}}
{{- if $isDaemonSet -}}
{{- if and (eq (toString $strategy.type) "RollingUpdate") (not (has $surge (list "0" "0%"))) -}}
{{- if not (has $unavailable (list "0" "0%")) -}}
{{- fail "updateStrategy.rollingUpdate: in a DaemonSet, one of maxSurge and maxUnavailable has to be 0" -}}
{{- end -}}
{{- range include "ilb.pools" . | fromYamlArray -}}
{{- if .hostPort -}}
{{- fail (printf "pool %s has a hostPort, so a node cannot run the new pod beside the old one: set updateStrategy.rollingUpdate.maxSurge=0 and maxUnavailable=1" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail "autoscaling.enabled is for kind=Deployment: a DaemonSet has one pod on each node" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Peers of the NetworkPolicy. */}}
{{- define "ilb.checks.network" -}}
{{- $policy := .Values.networkPolicy -}}
{{- $peers := dict "clients" $policy.clients "metrics" $policy.metrics "backends" $policy.backends "apiServer" $policy.apiServer "dns" $policy.dns -}}
{{- range $direction, $key := dict "ingress" "from" "egress" "to" -}}
{{- range $i, $rule := index $policy $direction -}}
{{- $_ := set $peers (printf "%s[%d].%s" $direction $i $key) (index $rule $key) -}}
{{- end -}}
{{- end -}}
{{- range $at, $list := $peers -}}
{{- range $i, $peer := $list -}}
{{- if not (or (hasKey $peer "ipBlock") (hasKey $peer "podSelector") (hasKey $peer "namespaceSelector")) -}}
{{- fail (printf "networkPolicy.%s[%d] is no peer: give podSelector, namespaceSelector or ipBlock" $at $i) -}}
{{- end -}}
{{- if and (hasKey $peer "ipBlock") (or (hasKey $peer "podSelector") (hasKey $peer "namespaceSelector")) -}}
{{- fail (printf "networkPolicy.%s[%d] has ipBlock and a selector: make two peers of it" $at $i) -}}
{{- end -}}
{{- with $peer.ipBlock -}}
{{- range concat (list .cidr) (.except | default list) -}}
{{- if not (regexMatch (include "ilb.pattern.cidr" $) (toString .)) -}}
{{- fail (printf "networkPolicy.%s[%d]: %q is not a network: write such as 10.0.0.0/8" $at $i (toString .)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
