# A guest that libvirtd began: ferrovirtd takes it over with its devices, and gives them back.

part_takeover() {
    stop_daemon
    small g "$(all_devices)" >/run/g.xml
    virtlogd -d 2>/dev/null
    libvirtd -d
    check "libvirtd answers" until_true 60 virsh -q uri
    check "it starts a guest with devices" virsh create /run/g.xml
    local pid; pid=$(qemu_of g)
    kill -KILL "$(cat /run/libvirtd.pid)"
    check "ferrovirtd comes in its place" start_daemon
    check "the guest is there" until_true 30 runs g
    check "it is the same QEMU" test "$(qemu_of g)" = "$pid"
    check "devices says who has the network card" devices_say 0000:01:00.0 g
    usb_hostdev $(stick) >/run/stick.xml
    check "its stick goes" until_true 30 detached /run/stick.xml
    check "with its node" gone_node "$pid" "bus/usb/$(printf '%03d/%03d' $(stick))"
    check "it ends" virsh destroy g
    check "its devices are at home" until_true 60 at_home
}
runs() { virsh -q list --name | grep -qx "$1"; }
