#!/bin/sh
if [[ $2 == prepare ]]; then #~ FH107
    cards=(one two) #~ FH107
    source /etc/cards #~ FH107
    echo -e "a\tb" >&2 #~ FH107
fi
if [ "$2" == started ]; then #~ FH107
    read -r first <<< "$4" #~ FH107
    logger "${first^^}" &> /dev/null #~ FH107 FH107
    for i in {1..5}; do #~ FH107
        ((i > 2)) && logger "${cards[0]}" #~ FH107 FH107
    done
fi
function stop { #~ FH107
    :
}
stop
exit 0
