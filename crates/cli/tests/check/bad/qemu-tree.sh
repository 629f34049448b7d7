#!/bin/bash
base=$(dirname "$0")
tree="$base/qemu.d/$1/$2/$3" #~ FH606
set -e
if [ -d "$tree" ]; then
    find "$tree" -type f -perm /111 -print0 | xargs -0 -n1 -r sh -c '"$0"'
fi
