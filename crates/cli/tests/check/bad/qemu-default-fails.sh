#!/bin/bash
usage() {
    echo "usage: hook NAME OPERATION" >&2
    exit 2 #~ FH301
}
case "$2" in
prepare) mount /srv ;;
release) umount /srv ;;
*) usage ;;
esac
