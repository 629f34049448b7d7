#!/bin/sh
if [ "$2" = "plugged" ]; then #~ FH204
    logger "$1"
elif [ "$2" = "stop" ]; then #~ FH201
    logger "$1"
elif [ "$2" = "prepare" ]; then #~ FH202
    logger "$1"
fi
