#!/bin/bash
if [ "$2" = "prepare" ; then #~ FH108
    modprobe vfio-pci
fi
if ["$2" = "release"]; then #~ FH108
    modprobe -r vfio-pci
fi
