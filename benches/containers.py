"""What is measured of containers: start and destroy, many at once, and what one costs in memory."""
import os
import shutil
import statistics
import threading
import time

import rpc
import world

ROOT = "/run/container-root"

CONTAINER = """<domain type='lxc'><name>%s</name><memory unit='MiB'>64</memory><vcpu>1</vcpu>
<os><type>exe</type><init>/bin/sleep</init><initarg>100000</initarg></os>
<devices><filesystem type='mount'><source dir='""" + ROOT + """'/><target dir='/'/></filesystem><console type='pty'/></devices></domain>"""


def make_root():
    """A root with a static busybox."""
    for name in ("bin", "dev", "proc", "sys", "tmp", "etc"):
        os.makedirs(os.path.join(ROOT, name), exist_ok=True)
    shutil.copy(shutil.which("busybox"), ROOT + "/bin/busybox")
    for name in ("sh", "sleep"):
        os.symlink("busybox", ROOT + "/bin/" + name)


def cycle(conn, times=12):
    """Start and destroy of one container; the medians."""
    starts, ends = [], []
    for i in range(times):
        begin = time.perf_counter()
        container = conn.create_guest(CONTAINER % ("c%d" % i))
        starts.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        conn.destroy_guest(container)
        ends.append(time.perf_counter() - begin)
    return {"start": statistics.median(starts), "destroy": statistics.median(ends)}


def supervisors():
    """Processes that hold containers: (how many bytes of memory are theirs, how many there are)."""
    total, count = 0, 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/%s/cmdline" % pid, "rb").read().split(b"\0")
            if os.path.basename(words[0]) not in (b"ferrovirt-lxc", b"libvirt_lxc"):
                continue
            for line in open("/proc/%s/smaps_rollup" % pid):
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
                    count += 1
        except OSError:
            pass                             # it ended meanwhile
    return total, count


def at_once(count=200):
    """Containers started at once, each by a client of its own; what their supervisors take; all destroyed at once."""
    conns = [rpc.Connection(world.SOCKET, "lxc:///system") for _ in range(count)]
    made, failed = [None] * count, []

    def all_at_once(job):
        def one(i):
            try:
                made[i] = job(i)
            except (rpc.RpcError, OSError) as e:
                failed.append(e)
        threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
        begin = time.perf_counter()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        took = time.perf_counter() - begin
        if failed:
            raise failed[0]
        return took
    start = all_at_once(lambda i: conns[i].create_guest(CONTAINER % ("m%d" % i)))
    memory, processes = supervisors()
    objects = list(made)
    destroy = all_at_once(lambda i: conns[i].destroy_guest(objects[i]))
    for conn in conns:
        conn.close()
    return {"start": start, "destroy": destroy, "supervisor_bytes": memory / count, "processes": processes / count}


def measure():
    """All of it, with a daemon that runs."""
    make_root()
    conn = rpc.Connection(world.SOCKET, "lxc:///system")
    conn.destroy_guest(conn.create_guest(CONTAINER % "first"))
    result = {"cycle": cycle(conn)}
    conn.close()
    result["at_once"] = at_once()
    return result
