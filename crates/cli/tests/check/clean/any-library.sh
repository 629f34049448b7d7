#!/bin/bash
# sourced by others
write_log() { echo "$PREFIX $1" >> "$LOG_FILE"; }
