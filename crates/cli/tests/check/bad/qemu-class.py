#!/usr/bin/env python3
import sys


class Hook:
    def run(self, guest, operation):
        if guest != "web":
            print("no such guest")  #~ FH306
            return
        if operation == "starting":  #~ FH201
            print("starting", file=sys.stderr)
        elif operation == "prepare":
            print("preparing")


Hook().run(sys.argv[1], sys.argv[2])
