#!/bin/bash
# Frees the only graphics card before the guest starts.
set -euo pipefail
exec >>/var/log/libvirt/one-gpu.log 2>&1

systemctl stop display-manager.service
for i in 1 2 3 4 5 6 7 8 9 10; do
    systemctl is-active --quiet display-manager.service || break
    sleep 1
done
for console in /sys/class/vtconsole/vtcon*; do
    if grep -q "frame buffer" "$console/name"; then
        echo 0 >"$console/bind"
    fi
done
echo efi-framebuffer.0 >/sys/bus/platform/drivers/efi-framebuffer/unbind || true
modprobe -r nvidia_drm nvidia_modeset nvidia_uvm nvidia
modprobe vfio vfio_pci vfio_iommu_type1
