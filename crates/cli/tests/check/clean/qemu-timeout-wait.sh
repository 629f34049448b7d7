#!/bin/bash
if [[ $2 == started ]]; then
    timeout 30 bash -c 'until ping -c1 -W1 192.168.122.20 >/dev/null; do sleep 1; done' || exit 0
    SECONDS=0
    until nc -z 192.168.122.20 22; do
        (( SECONDS < 20 )) || break
        sleep 1
    done
fi
