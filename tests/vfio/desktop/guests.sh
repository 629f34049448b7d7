# The documents.

head -n 1 /sys/bus/pci/devices/0000:03:00.0/class | grep -q 0x0300 || { echo "this is not the host that was expected"; exit 2; }
stick() { lsusb -d 46f4:0001 | sort | sed -nE '1s/^Bus 0*([0-9]+) Device 0*([0-9]+).*/\1 \2/p'; }
tablet() { # the node of its events
    local d
    for d in /sys/class/input/event*; do
        case $(readlink -f "$d") in *usb*) echo "/dev/input/${d##*/}"; return;; esac
    done
}

# A ROM as PCI wants it: a signature, a length in units of 512 bytes, where its description is; not for this processor, so that
# no firmware runs it.
make_rom() { # FILE
    python3 - "$1" <<'P'
import struct, sys
rom = bytearray(2048)
rom[0:3] = b"\x55\xaa\x04"
rom[0x18:0x1a] = struct.pack("<H", 0x40)
rom[0x40:0x58] = b"PCIR" + struct.pack("<HHHHB3sHHBBH", 0x1234, 0x1111, 0, 24, 0, b"\0\0\3", 4, 0, 0xff, 0x80, 0)
rom[0x100:0x11c] = b"a picture from a file's ROM."
open(sys.argv[1], "wb").write(rom)
P
}

# hostdev BUS SLOT FUNCTION [CHILDREN]
hostdev() {
    echo "<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0000' bus='0x$1' slot='0x$2' function='0x$3'/></source>${4:-}</hostdev>"
}
usb_hostdev() { # BUS DEVICE
    echo "<hostdev mode='subsystem' type='usb' managed='yes'><source><address bus='$1' device='$2'/></source></hostdev>"
}
gpu() { # [ROM FILE]
    hostdev 03 00 0 "${1:+<rom file='$1'/>}<address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x0' multifunction='on'/>"
    hostdev 03 00 1 "<address type='pci' domain='0x0000' bus='0x05' slot='0x00' function='0x1'/>"
}

# The guest of the guides: firmware with variables of its own, a TPM, what Windows likes, huge pages, pinned threads, the host's
# pointer by evdev, the graphics card with its sound and a ROM, a USB stick, a network card.
desktop() {
    : >/run/desktop.serial; chmod 666 /run/desktop.serial
    cat <<X
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>desktop</name>
  <uuid>6a1c1e0e-3c1b-4d64-9b61-0d1d5a0f7e11</uuid>
  <memory unit='MiB'>320</memory>
  <memoryBacking><hugepages><page size='2048' unit='KiB'/></hugepages><nosharepages/></memoryBacking>
  <vcpu placement='static'>1</vcpu>
  <iothreads>1</iothreads>
  <cputune><vcpupin vcpu='0' cpuset='0'/><emulatorpin cpuset='1'/><iothreadpin iothread='1' cpuset='1'/></cputune>
  <os firmware='efi'>
    <type arch='x86_64' machine='q35'>hvm</type>
    <firmware><feature enabled='no' name='secure-boot'/></firmware>
    <kernel>/guest/vmlinuz</kernel><initrd>/guest/initrd.gz</initrd>
    <cmdline>console=ttyS0 quiet panic=1 net.ifnames=0 mitigations=off nokaslr random.trust_cpu=on tsc=reliable no_timer_check nowatchdog cryptomgr.notests ipv6.disable=1 audit=0 apparmor=0 nosmp act=$1</cmdline>
  </os>
  <features>
    <acpi/><apic/>
    <hyperv mode='custom'><relaxed state='on'/><vapic state='on'/><spinlocks state='on' retries='8191'/><vendor_id state='on' value='whatever'/></hyperv>
    <kvm><hidden state='on'/></kvm>
    <vmport state='off'/>
    <ioapic driver='qemu'/>
  </features>
  <cpu mode='maximum'><topology sockets='1' dies='1' cores='1' threads='1'/></cpu>
  <clock offset='localtime'><timer name='rtc' tickpolicy='catchup'/><timer name='pit' tickpolicy='delay'/><timer name='hpet' present='no'/></clock>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <pm><suspend-to-mem enabled='no'/><suspend-to-disk enabled='no'/></pm>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' cache='none' io='threads' discard='unmap' iothread='1'/>
      <source file='/guest/disk.img'/><target dev='vda' bus='virtio'/>
    </disk>
    <controller type='usb' model='qemu-xhci' ports='15'/>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='5' model='pcie-root-port'/>
    <input type='evdev'><source dev='$(tablet)' grab='all' repeat='on'/></input>
    <tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>
    <serial type='file'><source path='/run/desktop.serial'/></serial>
    <video><model type='none'/></video>
    <memballoon model='none'/>
$(gpu /var/lib/libvirt/a.rom)
$(hostdev 01 00 0 "<rom file='/var/lib/libvirt/a.rom'/>")
$(usb_hostdev $(stick))
  </devices>
</domain>
X
}

# A guest that runs its firmware, or a sector of its own, with the same devices: it is up in seconds.
small() { # NAME DEVICES...
    cat <<X
<domain type='qemu'>
  <name>$1</name>
  <memory unit='MiB'>${MEM:-64}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='q35'>hvm</type>${KERNEL:-}</os>
  <features><acpi/><apic/></features>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='qemu-xhci'/>
    <controller type='pci' index='0' model='pcie-root'/>
    <controller type='pci' index='5' model='pcie-root-port'/>
    <video><model type='none'/></video>
    <memballoon model='none'/>
$(printf '%s\n' "${@:2}")
  </devices>
</domain>
X
}
# The same with a Linux that says what comes and lets go of what is taken.
idle_linux() { # NAME DEVICES...
    : >"/run/$1.serial"; chmod 666 "/run/$1.serial"
    local words='console=ttyS0 quiet panic=1 net.ifnames=0 mitigations=off nokaslr random.trust_cpu=on tsc=reliable no_timer_check'
    words+=' nowatchdog cryptomgr.notests ipv6.disable=1 audit=0 apparmor=0 nosmp act=idle'
    MEM=128 KERNEL="<kernel>/guest/vmlinux</kernel><initrd>/guest/initrd.gz</initrd><cmdline>$words</cmdline>" \
        small "$1" "<serial type='file'><source path='/run/$1.serial'/></serial>" "${@:2}"
}
all_devices() { gpu; hostdev 01 00 0; usb_hostdev $(stick); }

# A disk whose first sector waits, and then turns the machine off by ACPI, as an operating system would.
make_off() { # FILE TURNS   each turn is some 30 ms of emulated work
    python3 - "$1" "$2" <<'P'
import struct, sys
turns = int(sys.argv[2])
code  = b"\xfa"                                # cli
code += b"\xbb" + struct.pack("<H", turns)     # mov bx, turns
code += b"\x85\xdb\x74\x07"                    # again: test bx, bx; jz off
code += b"\x31\xc9"                            # xor cx, cx
code += b"\xe2\xfe"                            # loop until cx is 0 again
code += b"\x4b\xeb\xf5"                        # dec bx; jmp again
code += b"\xba\x04\x06\xb8\x00\x20\xef"        # off: mov dx, 0604h (PM1a control); mov ax, 2000h (sleep enable); out
code += b"\xf4\xeb\xfd"                        # hlt, for ever
sector = code.ljust(510, b"\0") + b"\x55\xaa"
open(sys.argv[1], "wb").write(sector.ljust(1 << 20, b"\0"))
P
}
off_disk() { # FILE
    echo "<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='$1'/><target dev='sda' bus='sata'/></disk>"
}
