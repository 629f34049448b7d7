#!/bin/sh
# Opens a port of the host for one guest.
guest=web
address=192.168.122.20

[ "$1" = "$guest" ] || exit 0

rule() {
    iptables -w -t nat "$1" PREROUTING -p tcp --dport 8080 -j DNAT --to "$address:80"
    iptables -w "$1" FORWARD -o virbr0 -p tcp -d "$address" --dport 80 -j ACCEPT
}

case "$2" in
stopped | reconnect) rule -D ;;
esac
case "$2" in
start | reconnect) rule -I ;;
esac
exit 0
