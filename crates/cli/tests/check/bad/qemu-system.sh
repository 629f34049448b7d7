#!/bin/bash
if [ "$1" = "web" ] && [ "$2" = prepare ]; then
    iptables -I FORWARD -o virbr0 -j ACCEPT #~ FH601
    echo 0-3 > /sys/fs/cgroup/cpuset/machine.slice/cpuset.cpus #~ FH602
    ~/bin/prepare-card #~ FH604
    sudo modprobe vfio-pci #~ FH605
fi
pages=$(grep -c hugepages "/etc/libvirt/qemu/$1.xml") #~ FH603
logger "$pages"
exit 0
