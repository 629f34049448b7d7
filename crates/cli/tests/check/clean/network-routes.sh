#!/bin/sh
case "$1/$2" in
lab/started)
    ip route replace 10.20.0.0/16 via 10.0.0.2
    firewall-cmd --zone=libvirt --add-service=dns
    ;;
lab/stopped)
    ip route del 10.20.0.0/16 via 10.0.0.2
    ;;
esac
exit 0
