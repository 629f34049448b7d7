#!/bin/bash
if [ $2 = "started" ]; then
   virsh qemu-monitor-command other --hmp info >/dev/null
   chrt -f -p 1 $(pgrep -f "guest=$1," | head -1)
   for pid in $(cat /run/libvirt/qemu/web.pid); do taskset -pc 0-3 "$pid"; done >/dev/null
   sleep 5 && renice -n -10 -p $(cat "/run/libvirt/qemu/$1.pid") >/dev/null
   { sleep 20; logger later; } > /dev/null 2>&1 &
   at now + 1 minute -f /usr/local/sbin/later 2>/dev/null
fi
if [ "$2" = "stopped" ]; then
  { echo a; echo b; } > /run/x
  echo b | sudo -u alice tee /home/alice/x > /dev/null
fi
exit 0
