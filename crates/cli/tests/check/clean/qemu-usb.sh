#!/bin/bash
# Gives every keyboard of the list to the guest by udev's rules.
OBJECT=$1; OPERATION=$2; SUB=${3:-}
while read -r vendor product _; do
    [ -n "$vendor" ] || continue
    if [ "$OBJECT" = kiosk ] && [ "$OPERATION/$SUB" = "start/begin" ]; then
        udevadm trigger --attr-match=idVendor="$vendor" --attr-match=idProduct="$product"
    fi
done < /etc/libvirt/keyboards
