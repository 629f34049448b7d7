#!/bin/bash
if [ "${1}" = "mail" ]; then
    if [ "${2}" = "stopped" ] || [ "${2}" = "reconnect" ]; then
        nft delete element inet filter guests "{ 10.1.2.3 }"
    fi
    if [ "${2}" = "start" ] || [ "${2}" = "reconnect" ]; then
        nft add element inet filter guests "{ 10.1.2.3 }"
    fi
fi
