#!/bin/sh
if [ "$2" = "prepare" ]; then
    tries=0
    while [ ! -e /dev/mapper/store ] && [ "$tries" -lt 20 ]; do
        sleep 0.5
        tries=$((tries + 1))
    done
    [ -e /dev/mapper/store ] || { echo "no storage" >&2; exit 1; }
fi
exit 0
