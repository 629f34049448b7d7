#!/bin/sh
if [ "$1" = "web" ]; then
    [ "$2" = started ] && logger "up" #~ FH303
fi
