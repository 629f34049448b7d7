#!/bin/bash
if [ "$1" != "win11" ]; then
    exit 1 #~ FH302
fi
[ "$2" = "prepare" ] && modprobe vfio-pci #~ FH303
