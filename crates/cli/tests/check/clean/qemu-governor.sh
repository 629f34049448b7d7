#!/bin/sh
case "$2-$3" in
started-begin) governor=performance ;;
release-end) governor=powersave ;;
*) exit 0 ;;
esac
for file in /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor; do
    echo "$governor" > "$file"
done
