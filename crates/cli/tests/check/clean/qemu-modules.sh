#!/usr/bin/env bash
HOOK_NAME=$2
trap 'echo "failed at $LINENO" >&2' ERR
if [ "$HOOK_NAME" == "prepare" ]; then
    if lsmod | grep -q nvidia; then
        for mod in nvidia_uvm nvidia_drm nvidia_modeset nvidia; do
            rmmod "$mod" || { echo "busy: $mod" >&2; exit 1; }
        done
    fi
    swapoff -a && echo 3 > /proc/sys/vm/drop_caches
    echo 1 > /proc/sys/vm/compact_memory
elif [ "$HOOK_NAME" == "release" ]; then
    swapon -a
fi
