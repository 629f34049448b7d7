#!/bin/sh
# Starts the guest again some seconds after its end, outside of the hook.
if [ "$2" = release ] && [ "$4" = crashed ]; then
    systemd-run --quiet --on-active=5 virsh start "$1"
fi
