#!/bin/sh
case "$2/$3" in
start/begin) : ;; #~ FH203
stop/-) : ;; #~ FH201
esac
