#!/bin/bash
# Reserves hugepages as the document asks for.
set -euo pipefail
readonly NAME="$1" STEP="$2/$3"
document=$(cat)
pages_file=/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages

wants_pages() { grep -q '<hugepages' <<<"$document"; }

case "$STEP" in
prepare/begin)
    wants_pages || exit 0
    kib=$(xmllint --xpath 'string(/domain/memory)' - <<<"$document")
    wanted=$((kib / 2048))
    echo "$wanted" >"$pages_file"
    got=$(<"$pages_file")
    if ((got < wanted)); then
        echo "$NAME: only $got of $wanted hugepages" >&2
        echo 0 >"$pages_file"
        exit 1
    fi
    ;;
release/end)
    if wants_pages; then echo 0 >"$pages_file"; fi
    ;;
esac
