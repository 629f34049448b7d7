# The desktop guest boots a Linux that lists and uses what it was given.

part_boot() {
    echo 170 >/proc/sys/vm/nr_hugepages
    mountpoint -q /dev/hugepages || mount -t hugetlbfs hugetlbfs /dev/hugepages
    make_rom /var/lib/libvirt/a.rom
    desktop poweroff >/run/desktop.xml
    : >/run/calls
    check "the desktop guest is defined" virsh define /run/desktop.xml
    check "it starts" virsh start desktop || return
    local pid; pid=$(qemu_of desktop)
    check "the graphics card is the guest's" grep -qx "0000:03:00.0 vfio-pci vfio-pci" <(drivers)
    check "QEMU has nodes of its own" own_node "$pid" "vfio/$(group 0000:03:00.0)"
    check "and none of others' devices" gone_node "$pid" nvme0n1
    check "its control group allows them" opens_in_group "$pid" /dev/vfio/vfio
    check "and no others' devices" not_in_group "$pid" /dev/nvme0n1
    check "its memory is of huge pages" test "$(awk '/HugePages_Free/ {print $2}' /proc/meminfo)" -lt 20
    check "virtual processor and others are pinned apart" pinned "$pid"
    check "a security chip is emulated for it" pgrep -x swtpm
    check "and QEMU has it" grep -qz 'tpm-crb' "/proc/$pid/cmdline"
    check "the graphics card has a ROM from a file" grep -qz '0000:03:00.0.*"romfile":"/var/lib/libvirt/a.rom"' "/proc/$pid/cmdline"
    check "Linux is up and has tried everything" until_true 1500 said desktop GUEST-DONE
    tr -d '\r' </run/desktop.serial | grep -a -o 'GUEST-.*'
    check "it lists the graphics card" said desktop 'GUEST-PCI .* 1234:1111 class 030000'
    # Of the card that shows the boot Linux looks at a copy in memory, so the ROM is looked at in the network card.
    check "its network card has the ROM of the file" said desktop "GUEST-PCI .* 8086:10d3 .* rom 2048,$(md5sum </var/lib/libvirt/a.rom | head -c 8)"
    check "and its sound" said desktop 'GUEST-PCI .* 8086:293e class 040300'
    check "both functions of one device" said desktop 'GUEST-PCI 0000:0.:00.1 8086:293e'
    check "its network card passes packets" said desktop 'GUEST-NET eth. 52:54:00:00:01:00 carrier 1 .* status 0'
    check "it reads the USB stick" said desktop "GUEST-BLOCK sd. begins with 'this is the first usb stick'"
    check "it ends by itself" until_true 300 is_off desktop
    check "all hooks have been called" until_true 60 grep -qx "desktop release end" /run/calls
    check "in their order" diff - /run/calls <<'X'
desktop prepare begin
desktop start begin
desktop started begin
desktop stopped end
desktop release end
X
    check "its devices are at home" until_true 60 at_home
    check "nobody emulates a chip any more" until_true 10 has_no_chip
    check "its memory is free again" test "$(awk '/HugePages_Free/ {print $2}' /proc/meminfo)" = 170
    check "it can be undefined" virsh undefine desktop --nvram --tpm
    echo 0 >/proc/sys/vm/nr_hugepages
}
# What a process in QEMU's control group may open.
opens_in_group() { # PID NODE
    local groups; groups=$(cut -d: -f3 "/proc/$1/cgroup" | tail -n 1)
    sh -c 'echo $$ >"/sys/fs/cgroup$1/cgroup.procs" && exec 3<"$2"' sh "$groups" "$2"
}
not_in_group() { : <"$2" && ! opens_in_group "$1" "$2"; }
has_no_chip() { ! pgrep -x swtpm; }
pinned() { # PID
    local t cpus seen=
    for t in /proc/"$1"/task/*; do
        cpus=$(awk '/Cpus_allowed_list/ {print $2}' "$t/status")
        case $(cat "$t/comm") in
        *CPU*TCG*|CPU*) [ "$cpus" = 0 ] || { echo "$(cat "$t/comm") may run on $cpus"; return 1; }; seen=1;;
        *) [ "$cpus" = 1 ] || { echo "$(cat "$t/comm") may run on $cpus"; return 1; };;
        esac
    done
    [ -n "$seen" ]
}
