#!/bin/bash
echo "hook called: $*" #~ FH306
say() { echo "* $1"; } #~ FH306
if [ "$2" = prepare ]; then
    echo "preparing"
fi
if [ "$2" = migrate ]; then
    date #~ FH306
    say "migrating"
fi
echo "$1 $2" | tee -a /var/log/hook.log #~ FH306
