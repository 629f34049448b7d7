#!/bin/bash
HOOK="$2.$3"
case "$HOOK" in
  prepare.begin|start.begin) echo "x" >&2 ;;
  st*.end) : ;;
  *.end) : ;;
  ?*) : ;;
esac
case ${2:-none} in
  [ps]tart) : ;;
  re@(lease|connect)) : ;;
  stop*) : ;;
  "") exit 1 ;;
esac
if [ "x$2" = "xprepare" ] && [ "x$3" = "xbegin" ]; then true; fi
if [ "$1 $2 $3" = "web start begin" ]; then true; fi
if [[ "$2$3" == "preparebegin" ]]; then true; fi
if [ "$1" = "web" -a "$2" = "start" ]; then true; fi
if test "$2" != prepare -a "$2" != release; then exit 0; fi
[[ $2 = prepare ]] || [[ $2 = release ]] || exit 0
(( $# == 4 )) || exit 1
[ $# -ge 2 ] || exit 1
[ -z "$1" ] && exit 1
ip=$(virsh -r net-dhcp-leases default | awk '/web/{print $5}')
awk '{print $5, $7}' /proc/stat > /dev/null
for f in $(ls /etc/libvirt/qemu.d); do "$f" "$@"; done
while IFS= read -r line; do echo "$line" >> /run/x; done < <(ip -o link)
exit 0
