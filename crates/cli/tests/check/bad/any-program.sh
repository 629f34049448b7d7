#!/bin/sh
xmlint --noout /etc/libvirt/x.xml #~ FH604
if [ "$2" = prepare ]; then
    modeprobe vfio-pci #~ FH604
    systemclt stop display-manager #~ FH604
    zfs mount tank/x
    my-own-tool
fi
