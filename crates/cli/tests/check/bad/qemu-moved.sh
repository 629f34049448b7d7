#!/bin/sh
exec >> /var/log/hook.log
GUEST=$1
case "$2" in
migrate) sed 's/br0/br1/' ;; #~ FH310
restore) sed 's/br0/br1/' >&1 ;;
esac
sh -c "echo $GUEST >> /var/log/g" #~ FH501
ssh backup rm -rf "/srv/$GUEST" #~ FH501
