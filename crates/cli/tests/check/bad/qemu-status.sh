#!/bin/bash
take() {
    local card=$(find-card "$1")
    if [ $? -ne 0 ]; then return 1; fi #~ FH309
    bind-card "$card"
    echo "bound" >&2
    if [[ $? != 0 ]]; then return 1; fi #~ FH309
}
if [ "$2" = prepare ]; then
    take "$1" || exit 1
fi
for card in one two; do
    [ "$2" = release ] && free-card "$card" #~ FH303
done
