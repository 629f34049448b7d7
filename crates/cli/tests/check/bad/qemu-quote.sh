#!/bin/bash
if [ "$2" = prepare ]; then
    logger 'it is on #~ FH108
fi
