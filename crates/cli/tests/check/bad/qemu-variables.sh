#!/bin/bash
if [ "$2" = prepare ]; then
    echo "$PCI_ADDRESS" > /sys/bus/pci/drivers/vfio-pci/bind #~ FH504
    su - "$SUDO_USER" -c true #~ FH505
    DISPLAY=:0 xset dpms force off
    notify-send --display "$DISPLAY" hello
fi
