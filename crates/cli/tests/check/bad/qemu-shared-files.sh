#!/bin/sh
log=/tmp/hook.log
if [ "$2" = start ]; then
    echo "start $1" >> "$log" #~ FH503
    touch /var/tmp/guest-is-up #~ FH503
fi
