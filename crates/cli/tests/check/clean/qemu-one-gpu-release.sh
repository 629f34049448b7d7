#!/bin/bash
set -x
modprobe -r vfio_pci vfio_iommu_type1 vfio
modprobe nvidia_drm
for console in /sys/class/vtconsole/vtcon*; do
    echo 1 > "$console/bind"
done
systemctl start display-manager.service
