#!/bin/bash
xml=$(cat)
if [[ "$2" == migrate ]]; then
    if [[ $xml == *host-passthrough* ]]; then
        echo "$xml" | sed 's/host-passthrough/host-model/'
    else
        printf '%s\n' "$xml"
    fi
else
    echo "nothing to do for $1" >&2
fi
