#!/bin/bash
# more shapes
set -o errexit -o nounset -o pipefail
readonly guest="${1:?}" op="${2:?}" sub="${3:-}"
main() {
  case "$guest:$op" in
    web:start) systemctl start web-proxy ;;
    web:release|web:stopped) systemctl stop web-proxy || : ;;
    *:prepare) : ;;
  esac
}
[[ -t 1 ]] || exec >>/var/log/hook.log 2>&1
main
