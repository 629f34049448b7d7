#!/bin/bash
if [ "$2" = prepare ]
    modprobe vfio-pci
fi #~ FH108
