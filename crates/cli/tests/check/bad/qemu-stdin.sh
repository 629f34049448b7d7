#!/bin/sh
name=$(xmllint --xpath 'string(/domain/name)' -)
uuid=$(xmllint --xpath 'string(/domain/uuid)' -) #~ FH307
if [ "$2" = started ]; then
    echo "$name $uuid" >> /var/log/guests
fi
