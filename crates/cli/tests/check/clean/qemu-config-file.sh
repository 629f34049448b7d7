#!/bin/bash
source /etc/libvirt/hooks/cards.conf
if [ "$1" = "$GUEST" ]; then
    if [ "$2" = prepare ]; then
        for card in $CARDS; do
            driverctl --nosave set-override "$card" vfio-pci
        done
    fi
fi
