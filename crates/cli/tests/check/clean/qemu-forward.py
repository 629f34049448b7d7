#!/usr/bin/env python3
import json
import subprocess
import sys

RULES = "/etc/libvirt/hooks/forward.json"


def iptables(action, rule):
    subprocess.run(["iptables", "-w", action, "FORWARD", "-d", rule["to"], "-j", "ACCEPT"], check=True)


def handle(domain, action):
    with open(RULES) as file:
        rules = json.load(file).get(domain, [])
    for rule in rules:
        if action in ["stopped", "reconnect"]:
            iptables("-D", rule)
        if action in ["start", "reconnect"]:
            iptables("-I", rule)


if __name__ == "__main__":
    vir_domain, action = sys.argv[1:3]
    if action == "migrate":
        sys.stdout.write(sys.stdin.read())
    handle(vir_domain, action)
