#!/bin/sh
logger -t libvirt-hook -- "$*"
echo "$(date) $1 $2 $3 $4" >> /var/log/libvirt/hooks.log
exit 0
