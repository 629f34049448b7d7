#!/bin/bash
declare -A host_cpus=([gaming]="0-3" [build]="0,1")
name=$1
command=$2

limit() {
    local slice cpus=$1
    for slice in system.slice user.slice init.scope; do
        systemctl set-property --runtime -- "$slice" AllowedCPUs="$cpus"
    done
}

[[ -n ${host_cpus[$name]:-} ]] || exit 0
case $command in
    started) limit "${host_cpus[$name]}" ;;
    release) limit "0-$(($(nproc) - 1))" ;;
esac
