#!/usr/bin/env python3
import sys
if sys.argv[2] == "prepare":
    print "preparing", sys.argv[1]  #~ FH701
