#!/bin/bash
if [ "$2" = started ]; then
    /usr/local/bin/watch "$1" & #~ FH308
    nohup /usr/local/bin/other "$1" >/dev/null & #~ FH308
    ( sleep 30; logger late ) & #~ FH308
fi
