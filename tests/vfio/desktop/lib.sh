# The daemon, its hooks, what is checked.

say() { echo "[$(cut -d' ' -f1 /proc/uptime)] $*"; }
ok() { passed=$((passed + 1)); say "ok: $*"; }
bad() { failed=$((failed + 1)); say "FAILED: $*"; }
check() { # TEXT COMMAND...
    local text=$1; shift
    if "$@" >/tmp/check 2>&1; then ok "$text"; else bad "$text"; sed 's/^/    /' /tmp/check | head -n 40; fi
}
until_true() { # SECONDS COMMAND...
    local limit=$((SECONDS + $1)); shift
    until "$@" >/tmp/until 2>&1; do
        [ "$SECONDS" -lt "$limit" ] || { cat /tmp/until; return 1; }
        sleep 0.25
    done
}

# Each device that could be given away, with its driver: as it was when the host came up is where it belongs.
drivers() {
    local d k
    for d in /sys/bus/pci/devices/* /sys/bus/usb/devices/*:*; do
        k=-; [ -e "$d/driver" ] && k=$(basename "$(readlink "$d/driver")")
        echo "${d##*/} $k $(cat "$d/driver_override" 2>/dev/null)"
    done
}
at_home() { drivers >/run/now; diff "${1:-/run/home}" /run/now; } # [HOME]

start_daemon() {
    mkdir -p /etc/libvirt/hooks
    printf '#!/bin/sh\necho "$1 $2 $3" >>/run/calls\n' >/etc/libvirt/hooks/qemu
    chmod 755 /etc/libvirt/hooks/qemu
    ferrovirtd >>/run/daemon.log 2>&1 & daemon=$!
    until_true 60 virsh -q uri >/dev/null
}
stop_daemon() { kill -TERM "$daemon"; wait "$daemon"; }
is_off() { ! virsh -q list --name | grep -qx "$1"; }
qemu_of() { pgrep -f -- "guest=$1," | head -n 1; }
has_no_qemu() { [ -z "$(qemu_of "$1")" ]; }
said() { tr -d '\r' <"/run/$1.serial" | grep -aqE -- "$2"; }   # GUEST PATTERN
