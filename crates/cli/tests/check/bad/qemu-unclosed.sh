#!/bin/bash
if [ "$2" = prepare ]; then #~ FH108
    modprobe vfio-pci

exit 0
