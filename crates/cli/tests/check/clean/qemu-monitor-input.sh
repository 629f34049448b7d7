#!/bin/bash
# Switches the monitor to the card of the guest, and back.
OBJECT="$1"
OPERATION="$2"

if [[ $OBJECT == "desktop" ]]; then
    case "$OPERATION" in
        "started")
            command -v ddcutil >/dev/null && ddcutil setvcp 60 0x0f >/dev/null 2>&1 &
            ;;
        "stopped")
            ddcutil setvcp 60 0x11 > /dev/null 2>&1 &
            ;;
    esac
fi
