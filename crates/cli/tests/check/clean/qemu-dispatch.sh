#!/bin/bash
# Runs what lies in a directory per guest and step. The document is handed on.
here=$(dirname "$0")
tree="$here/guests/$1/$2/$3"
[ -d "$tree" ] || exit 0
document=$(mktemp) || exit 1
trap 'rm -f "$document"' EXIT
cat >"$document"
status=0
for script in "$tree"/*; do
    [ -x "$script" ] || continue
    "$script" "$@" <"$document" || status=$?
done
exit "$status"
