#!/usr/bin/python3
import subprocess
import sys

_, guest, operation, sub, extra = sys.argv
match operation:
    case "prepare" | "reconnect":
        subprocess.Popen(["/usr/local/sbin/watch", guest], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    case "release":
        if extra == "crashed":
            print("crashed", file=sys.stderr)
    case _:
        sys.exit(0)
