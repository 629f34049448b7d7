"""A minimal client of libvirt's RPC: what the benchmark needs, without the cost of a process per call.

Numbers are those of libvirt's remote protocol, program 0x20008086, version 1.
"""
import socket
import struct

PROGRAM = 0x20008086
OPEN, CLOSE, LIB_VERSION = 1, 2, 157
DOMAIN_CREATE, DOMAIN_CREATE_XML, DOMAIN_DEFINE_XML, DOMAIN_DESTROY = 9, 10, 11, 12
DOMAIN_LOOKUP_BY_NAME, DOMAIN_UNDEFINE, DOMAIN_GET_STATE = 23, 35, 212
NETWORK_CREATE_XML, NETWORK_DESTROY = 40, 42
LIST_ALL_DOMAINS, LIST_ALL_NETWORKS, ALL_DOMAIN_STATS, AUTH_LIST = 273, 283, 344, 66


class RpcError(Exception):
    """An error reply: the message that a user would see."""


def string(text):
    """XDR string."""
    data = text.encode()
    return struct.pack(">I", len(data)) + data + b"\0" * (-len(data) % 4)


class Connection:
    """One connection; calls are made one after the other."""

    def __init__(self, path, uri="qemu:///system"):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.serial = 0
        self.call(AUTH_LIST)
        self.call(OPEN, struct.pack(">I", 1) + string(uri) + struct.pack(">I", 0))

    def exact(self, count):
        parts = []
        while count:
            data = self.sock.recv(count)
            if not data:
                raise RpcError("connection closed")
            parts.append(data)
            count -= len(data)
        return b"".join(parts)

    def call(self, procedure, payload=b""):
        self.serial += 1
        self.sock.sendall(struct.pack(">IIIiIII", 28 + len(payload), PROGRAM, 1, procedure, 0, self.serial, 0) + payload)
        while True:
            length = struct.unpack(">I", self.exact(4))[0]
            body = self.exact(length - 4)
            program, _, _, kind, serial, status = struct.unpack(">IIiIII", body[:24])
            if program != PROGRAM or kind != 1 or serial != self.serial:
                continue                     # an event or a ping
            if status:
                code, domain, present = struct.unpack(">iiI", body[24:36])
                size = struct.unpack(">I", body[36:40])[0] if present else 0
                raise RpcError("%d/%d %s" % (code, domain, body[40:40 + size].decode(errors="replace")))
            return body[24:]

    # -- what the measurements do --

    def create_guest(self, xml):
        """Start a transient guest; returns the object to name it by."""
        return self.call(DOMAIN_CREATE_XML, string(xml) + struct.pack(">I", 0))

    def define_guest(self, xml):
        return self.call(DOMAIN_DEFINE_XML, string(xml))

    def start_guest(self, guest):
        self.call(DOMAIN_CREATE, guest)

    def guest_state(self, guest):
        return self.call(DOMAIN_GET_STATE, guest + struct.pack(">I", 0))

    def guest_stats(self):
        """Everything about all guests."""
        return self.call(ALL_DOMAIN_STATS, struct.pack(">III", 0, 0, 0))

    def undefine_guest(self, guest):
        self.call(DOMAIN_UNDEFINE, guest)

    def destroy_guest(self, guest):
        self.call(DOMAIN_DESTROY, guest)

    def create_network(self, xml):
        return self.call(NETWORK_CREATE_XML, string(xml))

    def destroy_network(self, network):
        self.call(NETWORK_DESTROY, network)

    def list_guests(self):
        return self.call(LIST_ALL_DOMAINS, struct.pack(">iI", 1, 0))

    def list_networks(self):
        return self.call(LIST_ALL_NETWORKS, struct.pack(">iI", 1, 0))

    def version(self):
        return self.call(LIB_VERSION)

    def close(self):
        try:
            self.call(CLOSE)
        finally:
            self.sock.close()
