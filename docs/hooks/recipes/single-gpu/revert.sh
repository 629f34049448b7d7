#!/bin/sh
# Install as /etc/libvirt/hooks/qemu.d/GUEST/release/end/revert.sh
# The host has its graphics card back: the way of start.sh, from its end. It is called after a start that failed half way, too,
# so each step is tried.
card="pci_0000_03_00_1 pci_0000_03_00_0"
failed=0

for device in $card; do
    virsh nodedev-reattach "$device" > /dev/null || failed=1
done

framebuffer=/sys/bus/platform/drivers/efi-framebuffer
if [ -e "$framebuffer/bind" ] && ! [ -e "$framebuffer/efi-framebuffer.0" ]; then
    echo efi-framebuffer.0 > "$framebuffer/bind" || failed=1
fi

for console in /sys/class/vtconsole/vtcon*; do
    case $(cat "$console/name" 2> /dev/null) in
    *"frame buffer"*) echo 1 > "$console/bind" || failed=1 ;;
    esac
done

systemctl start display-manager || failed=1
exit $failed
