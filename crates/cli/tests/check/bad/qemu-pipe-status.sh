#!/bin/bash
if [[ $1 == gaming ]]; then
    case "$2" in
    prepare) /usr/local/bin/take-card 2>&1 | tee -a /var/log/card.log ;; #~ FH304
    release) /usr/local/bin/give-card 2>&1 | tee -a /var/log/card.log ;;
    esac
fi
