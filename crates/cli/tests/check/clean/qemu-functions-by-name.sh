#!/bin/bash
function main() {
    local guest="$1" op="$2"; shift 2
    local sub="$1"
    [[ "$guest" =~ ^(win|gpu) ]] || return 0
    "on_${op//-/_}" "$guest" "$sub" 2>/dev/null || true
}
on_prepare() { mkdir -p -- "/run/${1}"; }
on_release() { rmdir -- "/run/${1}" || true; }
if declare -F "on_$2" >/dev/null; then "on_$2" "$@"; fi
main "$@" >> /var/log/hook.log 2>&1
