#!/bin/bash
case "$2" in
prepare | start | started | attach | reconnect) /usr/local/sbin/guest-up "$1" ;;
stopped | release) /usr/local/sbin/guest-down "$1" ;;
migrate | restore) cat ;;
*) echo "unexpected operation $2" >&2; exit 1 ;;
esac
