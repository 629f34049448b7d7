#!/bin/bash
set -o pipefail
if [ "$1" = gpu ] && [ "$2" = prepare ]; then
    /usr/local/sbin/take-card 2>&1 | tee -a /var/log/libvirt/card.log >&2
fi
