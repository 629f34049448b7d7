#!/bin/bash
log() { printf '%s: %s\n' "$(date +%FT%T)" "$*" >>"$logfile"; }
die() { log "$@"; exit 1; }
logfile=/var/log/libvirt/guests.log

on_prepare() {
    local guest=$1
    [ -e "/srv/images/$guest.key" ] || die "no key for $guest"
    cryptsetup open --key-file "/srv/images/$guest.key" "/srv/images/$guest.luks" "guest-$guest"
}

on_release() { cryptsetup close "guest-$1"; }

main() {
    case "$2" in
        prepare) on_prepare "$1" ;;
        release) on_release "$1" ;;
        *) log "ignored $2" ;;
    esac
}
main "$@"
