#!/bin/bash
GUEST=$1
config=/etc/guests/$GUEST.conf
if [ "$2" = started ]; then
    eval "on_start_$GUEST" #~ FH501
    bash -c "notify '$1'" #~ FH501
    mkdir -p /run/guests/$GUEST #~ FH502
    cat $config > /dev/null #~ FH502
    echo started $1 >&2 #~ FH502
    rm -f "/run/lock/$GUEST"
    other-hook $@ #~ FH502
    true > /run/$GUEST.up #~ FH502
    echo "$(($(memory-of $GUEST) / 2))" >&2 #~ FH502
fi
