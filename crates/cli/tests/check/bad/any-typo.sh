#!/bin/sh
guest=$1
step=${2:-}
if [ "$guest" = web ]; then
    case "$step" in
    prepare) mount /srv/web ;;
    realease) umount /srv/web ;; #~ FH201
    esac
fi
