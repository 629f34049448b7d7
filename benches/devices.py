"""Devices: a guest with all that a desktop has beside the same QEMU without anybody, and the list of a large machine's devices."""
import os
import statistics
import struct
import subprocess
import time

import floor
import measures
import rpc
import world

FIRMWARE = [("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"), ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd")]

# What guides have for a desktop on a graphics card, but the card: that is the machine's.
DESKTOP = """<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>desk</name>
<memory unit='MiB'>256</memory><vcpu>2</vcpu><iothreads>1</iothreads>
<cputune><vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='1' cpuset='0'/><emulatorpin cpuset='0'/><iothreadpin iothread='1' cpuset='0'/></cputune>
<memoryBacking><nosharepages/><source type='memfd'/><access mode='shared'/></memoryBacking>
<os><type arch='x86_64' machine='q35'>hvm</type><loader readonly='yes' type='pflash'>%(code)s</loader>
<nvram template='%(vars)s'>/run/bench-devices/desk_VARS.fd</nvram><boot dev='hd'/></os>
<features><acpi/><apic/><hyperv mode='custom'><relaxed state='on'/><vapic state='on'/><spinlocks state='on' retries='8191'/>
<vendor_id state='on' value='bench'/></hyperv><vmport state='off'/></features>
<cpu mode='custom' match='exact'><model>qemu64</model><topology sockets='1' cores='2' threads='1'/></cpu>
<clock offset='localtime'><timer name='rtc' tickpolicy='catchup'/><timer name='pit' tickpolicy='delay'/><timer name='hpet' present='no'/></clock>
<pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>
<devices>
<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none' io='threads' discard='unmap' iothread='1'/>
<source file='/run/bench-devices/system.qcow2'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='/run/bench-devices/data.img'/><target dev='sda' bus='scsi'/></disk>
<disk type='file' device='cdrom'><target dev='sdb' bus='sata'/><readonly/></disk>
<controller type='scsi' index='0' model='virtio-scsi'/><controller type='usb' index='0' model='qemu-xhci' ports='15'/>
<controller type='virtio-serial' index='0'/>
<interface type='user'><mac address='52:54:00:00:00:01'/><model type='virtio'/></interface>
<serial type='pty'><target port='0'/></serial><console type='pty'><target type='serial' port='0'/></console>
<input type='tablet' bus='usb'/><input type='keyboard' bus='usb'/><input type='mouse' bus='virtio'/>
<graphics type='vnc' port='-1' autoport='yes' listen='127.0.0.1'/>
<sound model='ich9'><audio id='1'/></sound><audio id='1' type='none'/>
<video><model type='virtio' heads='1'/></video>
<watchdog model='itco' action='reset'/><memballoon model='virtio'/><rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
</devices>
<qemu:commandline><qemu:arg value='-fw_cfg'/><qemu:arg value='name=opt/bench,string=1'/></qemu:commandline></domain>"""


def firmware():
    """The files of a firmware that the machine has, or none: then without."""
    for code, variables in FIRMWARE:
        if os.path.exists(code) and os.path.exists(variables):
            return {"code": code, "vars": variables}
    raise RuntimeError("no OVMF: scripts/install-deps installs it")


def desktop_start(conn, times=8):
    """Start of a guest with the full set of devices, and the floor: its command line without anybody. They take turns."""
    folder = "/run/bench-devices"
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", folder + "/system.qcow2", "1G"], check=True)
    with open(folder + "/data.img", "wb") as f:
        f.truncate(1 << 28)
    xml = DESKTOP % firmware()
    ours, bare, words = [], [], None
    for i in range(times + 1):
        begin = time.perf_counter()
        guest = conn.create_guest(xml)
        ours.append(time.perf_counter() - begin)
        words = words or [word.replace("guest=desk", "guest=bare") for word in floor.qemu_command("desk", folder)]
        conn.destroy_guest(guest)
        begin = time.perf_counter()
        process = floor.BareQemu(words, folder + "/bare")
        bare.append(time.perf_counter() - begin)
        process.kill()
    # The first has what was read from disk for the first time.
    return {"daemon": statistics.median(ours[1:]), "bare": statistics.median(bare[1:]), "arguments": len(words)}


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def link(at, to):
    os.makedirs(os.path.dirname(at), exist_ok=True)
    os.symlink(os.path.relpath(to, os.path.dirname(at)), at)


def pci(root, number):
    """A function on one of the buses, in an IOMMU group with the others of its slot; its directory."""
    bus, slot, function = number // 64 + 1, number // 8 % 8, number % 8
    address = "0000:%02x:%02x.%x" % (bus, slot, function)
    place = "%s/devices/pci0000:00/0000:00:%02x.0/%s" % (root, bus, address)
    for name, text in (("uevent", "PCI_CLASS=20000\nPCI_SLOT_NAME=%s\n" % address), ("vendor", "0x8086\n"), ("device", "0x10d3\n"),
                       ("class", "0x020000\n"), ("numa_node", "0\n"), ("driver_override", "(null)\n"), ("config", "\0" * 256)):
        write(place + "/" + name, text)
    link("%s/bus/pci/devices/%s" % (root, address), place)
    group = "%s/kernel/iommu_groups/%d" % (root, number // 8)
    link(place + "/iommu_group", group)
    link("%s/devices/%s" % (group, address), place)
    link(place + "/subsystem", root + "/bus/pci")
    return place


def machine(root="/sys", cards=700, sticks=200):
    """A sysfs of 1000 devices: PCI functions, each seventh with a network interface, and USB devices with their nodes."""
    world.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", root)
    for number in range(cards):
        place = pci(root, number)
        if number % 7 == 0:
            name = "eth%d" % number
            write("%s/net/%s/uevent" % (place, name), "INTERFACE=%s\nIFINDEX=%d\n" % (name, number + 2))
            write("%s/net/%s/address" % (place, name), "52:54:00:00:%02x:%02x\n" % (number >> 8, number & 255))
            write("%s/net/%s/type" % (place, name), "1\n")
            link("%s/class/net/%s" % (root, name), "%s/net/%s" % (place, name))
    for number in range(sticks):
        bus, device = number // 100 + 1, number % 100 + 2
        place = "%s/devices/usb%d/%d-%d" % (root, bus, bus, device)
        write(place + "/uevent", "DEVTYPE=usb_device\nBUSNUM=%03d\nDEVNUM=%03d\n" % (bus, device))
        for name, text in (("busnum", bus), ("devnum", device), ("idVendor", "046d"), ("idProduct", "c52b")):
            write("%s/%s" % (place, name), "%s\n" % text)
        link("%s/bus/usb/devices/%d-%d" % (root, bus, device), place)
        link(place + "/subsystem", root + "/bus/usb")


CONNECT_LIST_ALL_NODE_DEVICES = 285


def node_devices(times=200):
    """The list of all devices of the machine: what the first who asks waits for, and everybody after that; over RPC."""
    conn = rpc.Connection(world.SOCKET)
    payload = struct.pack(">iI", 1, 0)

    def asked():
        begin = time.perf_counter()
        body = conn.call(CONNECT_LIST_ALL_NODE_DEVICES, payload)
        return time.perf_counter() - begin, struct.unpack(">I", body[:4])[0]
    first, count = asked()
    if count < 1000:
        raise RuntimeError("only %d devices are listed" % count)
    later = [asked()[0] for _ in range(times)]
    conn.close()
    return {"count": count, "first": first, "median": statistics.median(later), "p99": measures.quantile(later, 0.99)}
