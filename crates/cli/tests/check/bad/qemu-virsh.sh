#!/bin/bash
if [ "$2" = "release" ]; then
    virsh start "$1" #~ FH401
fi
if [ "$1" = "web" ] && [ "$2" = started ]; then
    virsh -c qemu:///system vcpupin web 0 2 #~ FH401
    /usr/bin/virsh dumpxml web > /run/web.xml #~ FH402
    virsh nodedev-detach pci_0000_01_00_0 #~ FH403
fi
