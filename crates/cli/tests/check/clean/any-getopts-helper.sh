#!/bin/bash
# Not a hook: a helper that hooks call with options.
usage() { echo "usage: $0 [-v] bind|unbind DEVICE"; exit 1; }
verbose=0
while getopts v option; do
    case $option in
        v) verbose=1 ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
case "$1" in
    bind) echo "$2" > /sys/bus/pci/drivers/vfio-pci/bind ;;
    unbind) echo "$2" > /sys/bus/pci/drivers/vfio-pci/unbind ;;
    *) usage ;;
esac
[ "$verbose" = 1 ] && echo done
