#!/bin/sh
set -eu
. /etc/default/hook
name=$1 op=$2
log() { logger -t hook "$@"; }
start() { log "start $name"; ip link set "$IFACE" up || return 1; }
stop() { log "stop $name"; }
if [ "$name" = "$GUEST" ]; then
    case "$op" in
    started) start;;
    stopped) stop;;
    esac
fi
