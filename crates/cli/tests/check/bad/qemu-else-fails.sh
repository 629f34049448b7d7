#!/bin/bash
if [ "$2" = "start" ]; then
    mount /srv
elif [ "$2" = "stopped" ]; then
    umount /srv
else
    echo "unknown operation $2" >&2
    exit 1 #~ FH301
fi
