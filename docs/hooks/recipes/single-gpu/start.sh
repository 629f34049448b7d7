#!/bin/sh
# Install as /etc/libvirt/hooks/qemu.d/GUEST/prepare/begin/start.sh
# The host lets go of its only graphics card: first who uses it, then the consoles, then the drivers.
card="pci_0000_03_00_0 pci_0000_03_00_1"

systemctl stop display-manager || exit 1

for console in /sys/class/vtconsole/vtcon*; do
    case $(cat "$console/name" 2> /dev/null) in
    *"frame buffer"*) echo 0 > "$console/bind" || exit 1 ;;
    esac
done

framebuffer=/sys/bus/platform/drivers/efi-framebuffer
if [ -e "$framebuffer/efi-framebuffer.0" ]; then
    echo efi-framebuffer.0 > "$framebuffer/unbind" || exit 1
fi

for device in $card; do
    virsh nodedev-detach "$device" > /dev/null || exit 1
done
