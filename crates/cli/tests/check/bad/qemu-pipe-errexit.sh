#!/bin/bash
set -e
if [ "$2" = prepare ]; then
    modprobe vfio-pci 2>&1 | logger -t hook #~ FH304
    mount /srv | systemd-cat || exit 1 #~ FH304
fi
if [ "$2" = start ]; then exit 256; fi #~ FH305
exit 0
