# All ways in which a guest ends, each at PROOF points of its life: afterwards its devices are at the host's drivers.

part_ends() {
    local way
    for way in ${WAYS:-destroy poweroff qemu daemon}; do ends_by "$way"; done
}

ends_by() { # WAY
    local point found=$failed
    for point in $(seq 0 $((PROOF - 1))); do
        : >/run/calls
        end_$1 "$point"
        until_true 90 is_off g || { bad "$1 at point $point: the guest is still there"; virsh destroy g; }
        until_true 30 has_no_qemu g || bad "$1 at point $point: QEMU is still there"
        until_true 90 at_home || { bad "$1 at point $point: not all devices are at home"; sed 's/^/    /' /tmp/until; repair; }
        if grep -q "prepare begin" /run/calls; then
            until_true 30 grep -qx "g release end" /run/calls || { bad "$1 at point $point: no release"; cat /run/calls; }
        fi
    done
    [ "$found" = "$failed" ] && ok "$1: after each of $PROOF ends all devices were at home"
}
# What failed once shall not fail all that comes.
repair() { local d; for d in 01_00_0 03_00_0 03_00_1; do virsh -q nodedev-reattach "pci_0000_$d"; done; }

# part POINT WHOLE: so many seconds of WHOLE, as POINT is one of PROOF
part() { awk -v p="$1" -v n="$PROOF" -v w="$2" 'BEGIN {printf "%.2f", w * p / n}'; }
wait_qemu() { until_true 60 qemu_there >/dev/null; }
qemu_there() { [ -n "$(qemu_of g)" ]; }

# While it starts, and when it runs.
end_destroy() {
    small g "$(all_devices)" >/run/g.xml
    virsh -q create /run/g.xml >/run/create 2>&1 & local create=$!
    sleep "$(part "$1" 14)"
    until_true 30 virsh -q destroy g >/dev/null || bad "destroy at point $1 is refused: $(cat /tmp/until)"
    wait $create
}
# From inside, sooner or later.
end_poweroff() {
    make_off /var/lib/libvirt/images/off.img $((1 + 10 * $1))
    small g "$(all_devices)" "$(off_disk /var/lib/libvirt/images/off.img)" >/run/g.xml
    virsh -q create /run/g.xml >/run/create 2>&1 || grep -q "domain is not running\|shut" /run/create || bad "poweroff at point $1: $(cat /run/create)"
}
# From QEMU's first moment on.
end_qemu() {
    small g "$(all_devices)" >/run/g.xml
    virsh -q create /run/g.xml >/run/create 2>&1 & local create=$!
    wait_qemu; sleep "$(part "$1" 10)"
    kill -KILL "$(qemu_of g)"
    wait $create
}
# The next one finds what there is, and what it does not find it undoes.
end_daemon() {
    small g "$(all_devices)" >/run/g.xml
    virsh -q create /run/g.xml >/run/create 2>&1 & local create=$!
    sleep "$(part "$1" 14)"
    kill -KILL "$daemon"; wait "$daemon" 2>/dev/null; wait $create
    start_daemon || { bad "the daemon does not come back"; return; }
    virsh -q list --name | grep -qx g && { virsh -q destroy g || bad "destroy by the next daemon"; }
}
