# What cannot be given away: the words of the refusal, what `ferrovirt devices` and `why` say of it, and nothing has moved.

part_refusals() {
    group_not_viable
    in_use
    rom_is_missing
    not_there
}

refused() { # TEXT XML PATTERN
    check "$1 is refused" refused_with "$2" "$3"
    check "$1: why" why_says g "$3"
    check "$1: nothing has moved" until_true 60 at_home
}
refused_with() { ! virsh create "$1" >/run/create 2>&1 || return 1; cat /run/create; grep -qE -- "$2" /run/create; }
why_says() { ferrovirt why "$1" >/run/why 2>&1; cat /run/why; grep -qE -- "$2" /run/why; }

group_not_viable() {
    small g "$(hostdev 09 01 0)" >/run/g.xml
    refused "a card whose neighbour works for the host" /run/g.xml '0000:09:02.0'
    check "devices knows the neighbour" devices_say 0000:09:01.0 '09:02.0'
}
devices_say() { ferrovirt devices --groups >/run/devices 2>&1; cat /run/devices; grep -A3 -- "$1" /run/devices | grep -q -- "$2"; }

in_use() {
    small other "$(hostdev 01 00 0)" >/run/other.xml
    check "another guest has the network card" virsh create /run/other.xml
    small g "$(hostdev 01 00 0)" >/run/g.xml
    check "a card in use is refused" refused_with /run/g.xml 'in use by driver QEMU, domain other'
    check "a card in use: why" why_says g 'other'
    check "devices says who has it" devices_say 0000:01:00.0 other
    check "the other guest ends" virsh destroy other
    check "its card is at home" until_true 60 at_home
}

rom_is_missing() {
    small g "$(hostdev 01 00 0 "<rom file='/nothing/rom.bin'/>")" >/run/g.xml
    refused "a ROM that is missing" /run/g.xml '/nothing/rom.bin'
}

not_there() {
    small g "$(hostdev 55 00 0)" >/run/g.xml
    refused "a card that is not there" /run/g.xml '0000:55:00.0'
}
