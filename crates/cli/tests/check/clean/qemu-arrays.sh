#!/bin/bash
guests=(alpha beta "two words")
for guest in "${guests[@]}"; do
    if [[ "$1" == "$guest" && "$2" =~ ^(start|stopped)$ ]]; then
        mapfile -t routes < <(ip route show table 100)
        for route in "${routes[@]}"; do
            read -r network _ <<<"$route"
            ip route del "$network" table 100
        done
    fi
done
