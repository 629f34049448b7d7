#!/bin/bash
if [ "$2" = "started" ]; then
    nohup /usr/local/sbin/watch-guest "$1" </dev/null >/dev/null 2>&1 &
    ( exec >/dev/null 2>&1; sleep 120; /usr/local/sbin/settle "$1" ) &
    disown -a
fi
exit 0
