#!/usr/bin/env python3
"""Writes down which port has which address."""
import sys
import xml.etree.ElementTree as ET


def main():
    name, operation = sys.argv[1], sys.argv[2]
    if operation not in ("port-created", "port-deleted"):
        return 0
    port = ET.parse(sys.stdin).find("networkport")
    mac = port.find("mac").get("address")
    with open(f"/run/ports/{mac}", "w") as file:
        file.write(name)
    print(f"{operation}: {mac}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
