"""The floors: what the same work costs when a bare program does it, in the same namespaces and the same run."""
import json
import os
import socket
import struct
import subprocess
import threading
import time

AF_NETLINK_ROUTE = 0


class Netlink:
    """Just enough rtnetlink to make a bridge with an address, bring it up and delete it."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, AF_NETLINK_ROUTE)
        self.sock.bind((0, 0))
        self.seq = 0

    def request(self, kind, flags, body):
        self.seq += 1
        self.sock.send(struct.pack("=IHHII", 16 + len(body), kind, flags | 1 | 4, self.seq, 0) + body)
        error = struct.unpack("=i", self.sock.recv(65536)[16:20])[0]
        if error:
            raise OSError(-error, os.strerror(-error))

    @staticmethod
    def attribute(kind, data):
        return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)

    def add_bridge(self, name):
        kind = self.attribute(1, b"bridge\0")
        self.request(16, 0x600, struct.pack("=BxHiII", 0, 0, 0, 0, 0) + self.attribute(3, name.encode() + b"\0")
                     + self.attribute(18, kind))

    def up(self, name):
        self.request(16, 0, struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(name), 1, 1))

    def add_address(self, name, address, prefix):
        data = socket.inet_aton(address)
        self.request(20, 0x600, struct.pack("=BBBBI", socket.AF_INET, prefix, 0, 0, socket.if_nametoindex(name))
                     + self.attribute(2, data) + self.attribute(1, data))

    def delete(self, name):
        self.request(17, 0, struct.pack("=BxHiII", 0, 0, socket.if_nametoindex(name), 0, 0))


def spawn_hook(path, document):
    """One bare run of a hook script: posix_spawn, document on stdin, both outputs read to their end."""
    in_r, in_w = os.pipe()
    out_r, out_w = os.pipe()
    err_r, err_w = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, in_r, 0), (os.POSIX_SPAWN_DUP2, out_w, 1), (os.POSIX_SPAWN_DUP2, err_w, 2)]
    pid = os.posix_spawn(path, [path, "n1", "start", "begin", "-"], {"LC_ALL": "C", "PATH": os.environ["PATH"]},
                         file_actions=actions, setpgroup=0)
    for fd in (in_r, out_w, err_w):
        os.close(fd)
    try:
        os.write(in_w, document)
    except BrokenPipeError:
        pass
    os.close(in_w)
    for fd in (out_r, err_r):
        while os.read(fd, 65536):
            pass
        os.close(fd)
    os.waitpid(pid, 0)


def network(conf, rules, pid_file):
    """Seconds for the parts of a network's start and destroy: netlink, one nft batch each way, dnsmasq's own start."""
    link = Netlink()
    begin = time.perf_counter()
    link.add_bridge("floor0")
    link.add_address("floor0", "192.168.77.1", 24)
    link.up("floor0")
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)
    subprocess.run(["dnsmasq", "--conf-file=" + conf], check=True)
    started = time.perf_counter()
    pid = int(open(pid_file).read())
    gone = os.pidfd_open(pid)
    os.kill(pid, 15)
    wait_readable(gone)
    os.close(gone)
    drops = "".join("delete table %s %s\n" % tuple(line.split()[1:3]) for line in rules.splitlines()
                    if line.startswith("table ") and "{" in line)
    subprocess.run(["nft", "-f", "-"], input=drops, text=True, check=True)
    link.delete("floor0")
    return time.perf_counter() - begin, started - begin


def wait_readable(fd):
    import select
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(10000)


def qemu_command(name, folder):
    """A guest's command line, read from a running one, with descriptors of the daemon replaced by paths."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/%s/cmdline" % pid).read().split("\0")[:-1]
        except OSError:
            continue
        if words and "qemu-system" in words[0] and any("guest=" + name in w for w in words):
            return [bare(w, folder) for w in words]
    raise RuntimeError("no process of guest %s" % name)


def bare(word, folder):
    if word.startswith("socket,id=charmonitor"):
        return "socket,id=charmonitor,path=%s/monitor,server=on,wait=off" % folder
    if word.startswith("{") and '"masterKey' in word:
        value = json.loads(word)
        return json.dumps(value)
    return word


def strip(words):
    """Without secrets and sandboxing files that only the daemon's start has."""
    out, skip = [], False
    for i, word in enumerate(words):
        if skip:
            skip = False
            continue
        if word == "-object" and "secret" in words[i + 1]:
            skip = True
            continue
        out.append(word)
    return out


class BareQemu:
    """A QEMU that nobody manages: spawned, greeted, told to go on; killed at the end."""

    def __init__(self, words, folder):
        os.makedirs(folder, exist_ok=True)
        path = folder + "/monitor"
        if os.path.exists(path):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen(1)
        os.set_inheritable(listener.fileno(), True)
        words = ["socket,id=charmonitor,fd=%d,server=on,wait=off" % listener.fileno()
                 if w.startswith("socket,id=charmonitor") else w for w in strip(words)]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, pass_fds=[listener.fileno()])
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        self.lines = client.makefile("rw")
        self.lines.readline()
        self.execute("qmp_capabilities")
        self.execute("cont")
        listener.close()

    def execute(self, command):
        self.lines.write(json.dumps({"execute": command}) + "\n")
        self.lines.flush()
        while "return" not in json.loads(self.lines.readline()):
            pass

    def kill(self):
        self.process.terminate()
        self.process.wait()


def qemus(words, folder, count):
    """Seconds until `count` bare guests run, started at once."""
    guests, begin = [None] * count, time.perf_counter()

    def one(i):
        mine = [w.replace("guest=b0", "guest=x%d" % i) for w in words]
        guests[i] = BareQemu(mine, "%s/%d" % (folder, i))
    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.perf_counter() - begin
    for guest in guests:
        if guest:
            guest.kill()
    return took


def durable_write(folder, text):
    """Write + fsync + rename + fsync of the directory: what one acknowledged define has to cost."""
    temporary = folder + "/.floor.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.write(fd, text)
    os.fsync(fd)
    os.close(fd)
    os.rename(temporary, folder + "/floor.xml")
    directory = os.open(folder, os.O_RDONLY)
    os.fsync(directory)
    os.close(directory)
