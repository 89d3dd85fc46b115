# Shared by the scripts beside it. Their first argument is the folder of the cluster; sourcing this sets the variables that
# follow from it. The name of the folder is also that of the cluster's cgroups, so clusters side by side never meet.
# shellcheck shell=bash

dir=$1
name=$(basename "$dir")
keys=$dir/keys
log=$dir/log
# The addresses exist only inside the cluster's own network. ILB_CLUSTER_FAMILY chooses them at the start: ipv4, ipv6, or dual for
# both, where IPv4 is the family of what has one address.
family=$(cat "$dir/family" 2>/dev/null) || family=${ILB_CLUSTER_FAMILY:-ipv4}
readonly node=node-1 family
case $family in
  ipv4) node_ips=(10.200.0.1) pod_cidrs=(10.244.0.0/24) service_cidr=10.96.0.0/16 first_service=10.96.0.1 dns=10.96.0.10 ;;
  ipv6) node_ips=(fd00:200::1) pod_cidrs=(fd00:244::/64) service_cidr=fd00:96::/112 first_service=fd00:96::1 dns=fd00:96::a ;;
  dual) node_ips=(10.200.0.1 fd00:200::1) pod_cidrs=(10.244.0.0/24 fd00:244::/64) service_cidr=10.96.0.0/16,fd00:96::/112
    first_service=10.96.0.1 dns=10.96.0.10 ;;
  *) echo "cluster: ILB_CLUSTER_FAMILY is $family: it can be ipv4, ipv6 or dual" >&2; exit 1 ;;
esac
readonly node_ip=${node_ips[0]} node_ips pod_cidrs service_cidr first_service dns
[[ $family == ipv6 ]] && node_host="[$node_ip]" || node_host=$node_ip

# join WORD...: the words with commas.
join() { local IFS=,; echo "$*"; }

# Prints the id of the cluster's first process, as seen outside; fails if it has ended (its id may belong to another process).
first_process() {
  local pid started
  read -r pid started 2>/dev/null <"$dir/first-process" || return 1
  [[ $(started "$pid") == "$started" ]] && echo "$pid"
}

# Prints the start time of the process, in clock ticks since the machine's start.
started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Prints the cgroups of this cluster: one folder per controller (version 1), or one for all (version 2).
cgroups() {
  local root=/sys/fs/cgroup controller
  if [[ -f $root/cgroup.controllers ]]; then
    echo "$root/$name"
    return
  fi
  for controller in "$root"/*/; do
    controller=${controller%/}
    [[ -L $controller || ! -f $controller/cgroup.procs ]] || echo "$controller/$name"
  done
}
