{{/* The Services for clients: fields that Kubernetes accepts together only, or for some types only. */}}
{{- define "ilb.checks.services" -}}
{{- $known := list -}}
{{- range include "ilb.pools" . | fromYamlArray -}}{{- $known = append $known .name -}}{{- end -}}
{{- $seen := dict "metrics" true "test" true -}}
{{- $nodePorts := dict -}}
{{- range $service := include "ilb.services" . | fromYamlArray -}}
{{- if $service.name -}}
{{- if hasKey $seen $service.name -}}
{{- fail (printf "%s: another Service of the release has the name %q: give another name" $service.at $service.name) -}}
{{- end -}}
{{- $_ := set $seen $service.name true -}}
{{- $length := printf "%s-%s" (include "ilb.fullname" $) $service.name | len -}}
{{- if gt $length 63 -}}
{{- fail (printf "%s: the Service would have a name of %d characters, and 63 are allowed: give a shorter name" $service.at $length) -}}
{{- end -}}
{{- end -}}
{{- range $pool := $service.wanted -}}
{{- if not (has $pool $known) -}}
{{- fail (printf "%s: there is no pool %q (there are %s)" $service.at $pool (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- include "ilb.checks.service.ports" (dict "root" $ "service" $service "nodePorts" $nodePorts) -}}
{{- include "ilb.checks.service.type" $service -}}
{{- include "ilb.checks.service.addresses" (dict "root" $ "service" $service) -}}
{{- include "ilb.checks.map" (dict "root" $ "at" (printf "%s.labels" $service.at) "map" $service.values.labels "isLabels" true) -}}
{{- include "ilb.checks.map" (dict "root" $ "at" (printf "%s.annotations" $service.at) "map" $service.values.annotations) -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.service.ports" -}}
{{- $service := .service -}}
{{- $values := $service.values -}}
{{- $nodePorts := .nodePorts -}}
{{- $range := .root.Values.service.nodePortRange | default "30000-32767" | splitList "-" -}}
{{- $seen := dict -}}
{{- range $service.ports -}}
{{- $port := int .port -}}
{{- if has $port (list 8080 8081 9090) -}}
{{- fail (printf "%s: pool %s cannot have the Service port %d: 8080 is Traefik's write API, 8081 is ilb and 9090 Traefik's metrics, and what looks like one of them must never lead elsewhere. Give another port, such as service.port=%d" $service.at .pool $port (int .targetPort)) -}}
{{- end -}}
{{- if hasKey $seen (toString $port) -}}
{{- fail (printf "%s: two pools have the Service port %d: give servicePort in one of the pools, or put them behind different Services (services)" $service.at $port) -}}
{{- end -}}
{{- $_ := set $seen (toString $port) true -}}
{{- with .nodePort -}}
{{- if eq $values.type "ClusterIP" -}}
{{- fail (printf "%s: a node port is for the types NodePort and LoadBalancer, and the type is ClusterIP: set type, or leave nodePort out" $service.at) -}}
{{- end -}}
{{- if hasKey $nodePorts (toString (int .)) -}}
{{- fail (printf "%s: the node port %d is taken by another pool or Service of the release" $service.at (int .)) -}}
{{- end -}}
{{- $_ := set $nodePorts (toString (int .)) true -}}
{{- end -}}
{{- range $key, $port := dict "nodePort" .nodePort "healthCheckNodePort" $values.healthCheckNodePort -}}
{{- if and $port (or (lt (int $port) (atoi (first $range))) (gt (int $port) (atoi (last $range)))) -}}
{{- fail (printf "%s: %s=%d is not in the range of node ports, %s: give one of the range, or the cluster's range in service.nodePortRange" $service.at $key (int $port) (join "-" $range)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.service.type" -}}
{{- $at := .at -}}
{{- $values := .values -}}
{{- $isLoadBalancer := eq $values.type "LoadBalancer" -}}
{{- range $key := list "loadBalancerClass" "loadBalancerIP" "loadBalancerSourceRanges" -}}
{{- if and (index $values $key) (not $isLoadBalancer) -}}
{{- fail (printf "%s.%s is for the type LoadBalancer, and the type is %s: set type=LoadBalancer, or leave it out" $at $key $values.type) -}}
{{- end -}}
{{- end -}}
{{- if and (not (kindIs "invalid" $values.allocateLoadBalancerNodePorts)) (not $isLoadBalancer) -}}
{{- fail (printf "%s.allocateLoadBalancerNodePorts is for the type LoadBalancer, and the type is %s: set type=LoadBalancer, or leave it out" $at $values.type) -}}
{{- end -}}
{{- if and $values.externalTrafficPolicy (eq $values.type "ClusterIP") (not $values.externalIPs) -}}
{{- fail (printf "%s.externalTrafficPolicy is for Services that are reached from outside the cluster, and the type is ClusterIP: set type, or leave it out (internalTrafficPolicy is for clients in the cluster)" $at) -}}
{{- end -}}
{{- if and $values.healthCheckNodePort (not (and $isLoadBalancer (eq (toString $values.externalTrafficPolicy) "Local"))) -}}
{{- fail (printf "%s.healthCheckNodePort needs type=LoadBalancer and externalTrafficPolicy=Local" $at) -}}
{{- end -}}
{{- if and (eq (toString $values.clusterIP) "None") (ne $values.type "ClusterIP") -}}
{{- fail (printf "%s.clusterIP=None makes a headless Service, whose type is ClusterIP, and the type is %s: leave one of the two out" $at $values.type) -}}
{{- end -}}
{{- if and $values.sessionAffinityConfig (ne (toString $values.sessionAffinity) "ClientIP") -}}
{{- fail (printf "%s.sessionAffinityConfig needs sessionAffinity=ClientIP" $at) -}}
{{- end -}}
{{- end }}

{{- define "ilb.checks.service.addresses" -}}
{{- $at := .service.at -}}
{{- $values := .service.values -}}
{{- $families := $values.ipFamilies | default list -}}
{{- range $values.loadBalancerSourceRanges -}}
{{- if not (regexMatch (include "ilb.pattern.cidr" $) .) -}}
{{- fail (printf "%s.loadBalancerSourceRanges: %q is not a network: write such as 10.0.0.0/8" $at .) -}}
{{- end -}}
{{- end -}}
{{- range $address := concat (list ($values.clusterIP | default "") ($values.loadBalancerIP | default "")) ($values.externalIPs | default list) -}}
{{- if not (or (has $address (list "" "None")) (regexMatch (include "ilb.pattern.address" $) $address)) -}}
{{- fail (printf "%s: %q is not an IP address (clusterIP, loadBalancerIP, externalIPs)" $at $address) -}}
{{- end -}}
{{- end -}}
{{- range $values.externalIPs -}}
{{- if regexMatch "^(127\\.|169\\.254\\.|0\\.0\\.0\\.0|22[4-9]\\.|23[0-9]\\.|::1?$|[fF][eE]80:|[fF][fF])" . -}}
{{- fail (printf "%s.externalIPs: %s is not an address that a Service can have" $at .) -}}
{{- end -}}
{{- end -}}
{{- if gt (len (uniq $families)) 1 -}}
{{- if not (has (toString $values.ipFamilyPolicy) (list "PreferDualStack" "RequireDualStack")) -}}
{{- fail (printf "%s.ipFamilies has two families: set ipFamilyPolicy to PreferDualStack or RequireDualStack" $at) -}}
{{- end -}}
{{- end -}}
{{- if ne (len (uniq $families)) (len $families) -}}
{{- fail (printf "%s.ipFamilies has a family twice" $at) -}}
{{- end -}}
{{- if and $families $values.clusterIP (ne $values.clusterIP "None") (ne (first $families) (ternary "IPv6" "IPv4" (contains ":" $values.clusterIP))) -}}
{{- fail (printf "%s.clusterIP=%s is not an address of the first family of ipFamilies" $at $values.clusterIP) -}}
{{- end -}}
{{- $version := .root.Capabilities.KubeVersion.Version -}}
{{- if and (eq (toString $values.trafficDistribution) "PreferClose") (semverCompare "<1.31.0-0" $version) -}}
{{- fail (printf "%s.trafficDistribution=PreferClose needs Kubernetes 1.31, and this is %s" $at $version) -}}
{{- end -}}
{{- if and (has (toString $values.trafficDistribution) (list "PreferSameZone" "PreferSameNode")) (semverCompare "<1.34.0-0" $version) -}}
{{- fail (printf "%s.trafficDistribution=%s needs Kubernetes 1.34, and this is %s: PreferClose needs 1.31" $at $values.trafficDistribution $version) -}}
{{- end -}}
{{- end }}
