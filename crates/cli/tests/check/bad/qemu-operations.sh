#!/bin/bash
OP="$2"
if [ "$OP" = "perpare" ]; then #~ FH201
    modprobe vfio-pci
fi
case "$2" in
start | starting) : ;; #~ FH201
stoped) : ;; #~ FH201
port-created) : ;; #~ FH202
plugged) : ;; #~ FH204
esac
if [[ $2 == "shutdown" ]]; then logger off; fi #~ FH202
[[ "$2" != stopped && $2 != destroyed ]] || logger end #~ FH201
case "$2/$3" in
prepare/end) : ;; #~ FH203
stopped/begin) : ;; #~ FH203
started/begin) : ;;
esac
if [ "$2" = "prepare" ] && [ "$3" = "end" ]; then :; fi #~ FH203
case "$1:$2:$3" in
web:release:begin) : ;; #~ FH203
esac
if test "$3 $2" = "begin release"; then :; fi #~ FH203
if [ "$2" = release ]; then
    if [ "$4" = "-" ]; then :; fi #~ FH205
    if [ "$4" = "rebooted" ]; then :; fi #~ FH206
fi
case "$*" in
"web release end -") : ;; #~ FH205
esac
host=$5 #~ FH207
echo "$host" >&2
