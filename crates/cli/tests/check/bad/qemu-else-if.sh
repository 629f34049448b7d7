#!/bin/bash
now=$(date "+%s")
if [ "$2" = prepare ]; then #~ FH108
    cat >> /var/log/x <<END
if $now
END
else if [ "$2" = release ]; then
    echo "$now" >&2
fi
