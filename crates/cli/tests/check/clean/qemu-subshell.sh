#!/bin/sh
# args by name
for arg in "$@"; do echo "$arg" >> /var/log/args; done
i=0
until [ $i -ge 10 ]; do
  ip link show vnet0 >/dev/null 2>&1 && break
  i=`expr $i + 1`; sleep 1
done
if [ "$2" = "started" ]; then
    tc qdisc add dev vnet0 root tbf rate 1mbit burst 32kbit latency 400ms
    (
      exec >/dev/null 2>&1
      /usr/sbin/foo
    ) &
    wait $!
fi
test "$2" = release && rm -f "/run/x/$1"
true
