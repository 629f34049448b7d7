#!/bin/bash
set -e
DOMAIN=$1; shift
TASK=$1; shift
if [ "$DOMAIN" == "a" ]; then
  xml=$(virsh dumpxml "$DOMAIN") #~ FH402
  mem=$(cat | grep memory)
  all=$(cat) #~ FH307
  if [ "$TASK" == "stoped" ]; then logger "$xml$mem$all"; fi #~ FH201
  if [ "$TASK" == "shutdown" ]; then logger off; fi #~ FH201
fi
