#!/usr/bin/env python3
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

guest = sys.argv[1]
operation = sys.argv[2]
sub = sys.argv[3]

print("hook for " + guest)  #~ FH306
if operation == "perpare":  #~ FH201
    os.system("mount /srv/" + guest)  #~ FH501
elif operation in ("started", "port-created"):  #~ FH202
    subprocess.run(f"notify {guest}", shell=True)  #~ FH501
    subprocess.Popen(["/usr/local/bin/watch", guest])  #~ FH308
elif operation == "stopped" and sub == "begin":  #~ FH203
    subprocess.call(["virsh", "start", guest])  #~ FH401
elif operation == "release" and sys.argv[4] == "-":  #~ FH205
    time.sleep(30)  #~ FH405
elif operation == "prepare":
    print("preparing")
    tree = ET.parse(sys.stdin)
    text = sys.stdin.read()  #~ FH307
    open("/tmp/guest.xml", "w").write(text)  #~ FH503
else:
    print("unknown", file=sys.stderr)
    sys.exit(1)  #~ FH301
host = sys.argv[5]  #~ FH207
