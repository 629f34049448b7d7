#!/bin/sh
case "$2/$3/$4" in
release/end/crashed | release/end/failed) wall "guest $1 is gone: $4" ;;
release/end/*) : ;;
prepare/begin/-) touch "/run/guests/$1" ;;
esac
