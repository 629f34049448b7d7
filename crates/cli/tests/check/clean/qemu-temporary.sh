#!/bin/sh
set -u
file=$(mktemp /tmp/hook.XXXXXX) || exit 1
trap 'rm -f "$file"' EXIT
cat > "$file"
if [ "$2" = "started" ]; then
    cp "$file" "/run/guests/$1.xml"
fi
