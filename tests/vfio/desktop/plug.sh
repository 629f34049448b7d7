# Devices that come to a running Linux and go: a virtual function as a network card, and a USB stick.

part_plug() {
    local pf vf a pid
    pf=$(ls /sys/bus/pci/devices/0000:07:00.0/net) || return
    ip link set "$pf" up
    echo 2 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs
    check "there are virtual functions" until_true 30 virtual_functions_are_up
    drivers >/run/home.plug
    vf=$(basename "$(readlink /sys/bus/pci/devices/0000:07:00.0/virtfn0)") a=${vf#0000:}
    idle_linux g "<controller type='pci' index='6' model='pcie-root-port'/>" >/run/g.xml
    check "a guest without devices starts" virsh create /run/g.xml
    check "and its Linux is up" until_true 300 said g GUEST-DONE
    pid=$(qemu_of g)
    cat >/run/vf.xml <<X
<interface type='hostdev' managed='yes'><mac address='52:54:00:aa:bb:cc'/>
<source><address type='pci' domain='0' bus='0x${a:0:2}' slot='0x${a:3:2}' function='0x${a:6:1}'/></source>
<vlan><tag id='42'/></vlan></interface>
X
    usb_hostdev $(stick) >/run/stick.xml
    local before; before=$(locks "$pid")
    for round in 1 2; do
        check "$round: it gets a virtual function as its card" virsh attach-device g /run/vf.xml --live
        check "$round: with its driver for guests" test "$(driver "$vf")" = vfio-pci
        check "$round: its address and VLAN are set" vf_has "$pf" '52:54:00:aa:bb:cc.*vlan 42'
        check "$round: QEMU has the node of its group" own_node "$pid" "vfio/$(group "$vf")"
        check "$round: and may lock the guest's memory" test "$(locks "$pid")" = $(((128 << 20) + (1 << 30)))
        check "$round: it gets a USB stick" virsh attach-device g /run/stick.xml --live
        check "$round: QEMU has its node" own_node "$pid" "bus/usb/$(printf '%03d/%03d' $(stick))"
        check "$round: the stick goes" until_true 30 detached /run/stick.xml
        check "$round: with its node" gone_node "$pid" "bus/usb/$(printf '%03d/%03d' $(stick))"
        check "$round: Linux has the card" until_true 120 said_often "$round" '8086:10ca'
        check "$round: it is asked for" virsh detach-device g /run/vf.xml --live
        check "$round: the card goes" until_true 120 has_no 52:54:00:aa:bb:cc
        check "$round: its function is the host's" until_true 30 at_home /run/home.plug
        check "$round: with an address of its own and no VLAN" vf_has_not "$pf" '52:54:00:aa:bb:cc|vlan 42'
        check "$round: QEMU has its node no longer" gone_node "$pid" "vfio/$(group "$vf")"
        check "$round: and may lock as much as before" test "$(locks "$pid")" = "$before"
    done
    check "the guest ends with a card" virsh attach-device g /run/vf.xml --live
    check "by a destroy" virsh destroy g
    check "its function is the host's" until_true 30 at_home /run/home.plug
    echo 0 >/sys/bus/pci/devices/0000:07:00.0/sriov_numvfs
    ip link set "$pf" down
    check "all is as it was" until_true 30 at_home
}

virtual_functions_are_up() { [ "$(ls -d /sys/bus/pci/devices/0000:07:00.0/virtfn*/net/* 2>/dev/null | wc -l)" = 2 ]; }
vf_has() { ip link show "$1" | tee /dev/stderr | grep -qE -- "vf 0 .*$2"; }
vf_has_not() { ! vf_has "$1" "($2)"; }
said_often() { [ "$(tr -d '\r' <"/run/g.serial" | grep -acE -- "$2")" -ge "$1" ]; } # TIMES PATTERN
driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver")"; }
group() { basename "$(readlink "/sys/bus/pci/devices/$1/iommu_group")"; }
locks() { awk '/Max locked memory/ {print $4}' "/proc/$1/limits"; } # PID
# The node is QEMU's user's in QEMU's own /dev, and root's in the host's.
own_node() { # PID NAME
    stat -c '%n %U %t:%T' "/proc/$1/root/dev/$2" "/dev/$2" | tee /dev/stderr
    [ "$(stat -c %U "/proc/$1/root/dev/$2")" = libvirt-qemu ] && [ "$(stat -c %U "/dev/$2")" = root ]
}
gone_node() { ! ls -l "/proc/$1/root/dev/$2"; }
detached() { virsh detach-device g "$1" --live || ! virsh dumpxml g | grep -q "type='usb' managed"; }
has_no() { ! virsh dumpxml g | grep -q "$1"; }
