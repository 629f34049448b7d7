#!/bin/bash
case "$2" in
prepare) \
    mount --bind \
        "/srv/shared" \
        /srv/$1 \
    ;;
esac
