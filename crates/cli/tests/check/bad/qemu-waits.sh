#!/bin/bash
if [ "$2" = prepare ]; then
    while lsmod | grep -q nvidia; do #~ FH404
        sleep 1
    done
    until ping -c 1 192.168.0.1 >/dev/null; do :; done #~ FH404
    sleep 20 #~ FH405
    sleep 1m #~ FH405
fi
