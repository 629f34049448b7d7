#!/bin/bash
# One script for all drivers, by links.
name=$1 operation=$2 sub=$3 extra=$4
if [ "$extra" = - ]; then extra=none; fi
logger -t "hook-$(basename "$0")" "$name $operation $sub $extra"
