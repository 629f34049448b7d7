#!/bin/sh
guest=$1
shift
step=$1
shift
if [ "$guest" = build ] && [ "$step" = prepare ]; then
    mount /srv/build
fi
if [ "$step" = release ]; then
    umount /srv/build || true
fi
