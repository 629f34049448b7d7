"""What is measured: each function returns plain numbers (seconds unless the name says otherwise)."""
import json
import multiprocessing
import os
import statistics
import subprocess
import threading
import time

import floor
import rpc
import world

SCRIPT = "#!/bin/sh\ncat >/dev/null\nexit 0\n"
SLEEPER = "#!/bin/sh\ncat >/dev/null\n[ \"$2\" = %s ] && sleep 1\nexit 0\n"

GUEST = """<domain type='qemu'><name>%s</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os><features><acpi/></features>
<devices><controller type='usb' model='none'/><memballoon model='none'/></devices></domain>"""

NETWORK = """<network><name>%s</name><forward mode='nat'/><bridge name='vbb%d'/>
<ip address='10.%d.%d.1' netmask='255.255.255.0'><dhcp><range start='10.%d.%d.10' end='10.%d.%d.99'/></dhcp></ip></network>"""

PLAIN = "<network><name>%s</name><forward mode='bridge'/><bridge name='br0'/></network>"


def network(i):
    return NETWORK % ("bn%d" % i, i, 64 + i // 200, i % 200, 64 + i // 200, i % 200, 64 + i // 200, i % 200)


def median(job, times):
    """Median of the durations of `times` runs; a job that returns a number says its duration itself."""
    values = []
    for _ in range(times):
        begin = time.perf_counter()
        told = job()
        values.append(told if isinstance(told, float) else time.perf_counter() - begin)
    return statistics.median(values)


def hook_cost(conn):
    """One hook script through the daemon, and one bare posix_spawn of the same script."""
    def cycle():
        conn.destroy_network(conn.create_network(PLAIN % "plain"))
    world.hooks({})
    without = median(cycle, 9)
    world.hooks({"network.d/%02d" % i: SCRIPT for i in range(20)})
    runs = 3 * 20                            # start, started, stopped, each with 20 scripts
    with_hooks = median(cycle, 9)
    document = b"<hookData>\n" + b"x" * 600 + b"\n</hookData>"
    path = world.HOOKS + "/network.d/00"
    bare = median(lambda: floor.spawn_hook(path, document), 200)
    world.hooks({})
    return {"daemon": (with_hooks - without) / runs, "bare": bare}


def network_cycle(conn):
    """Start and destroy of a NAT network with DHCP, and the bare sum of its parts."""
    def cycle():
        conn.destroy_network(conn.create_network(network(1)))
    cycle()
    return {"daemon": median(cycle, 9)}


def network_floor(conn):
    """The bare sum: with rules and a configuration like those that the daemon uses, in our own bridge."""
    conf, pid_file = "/run/floor.conf", "/run/floor.pid"
    with open(conf, "w") as f:
        f.write("strict-order\npid-file=%s\nexcept-interface=lo\nbind-dynamic\ninterface=floor0\n"
                "dhcp-range=192.168.77.10,192.168.77.99,255.255.255.0\ndhcp-no-override\ndhcp-authoritative\n"
                "dhcp-lease-max=90\ndhcp-leasefile=/run/floor.leases\n" % pid_file)
    rules = """table ip floor {
  chain guest_to_host { type filter hook input priority filter; policy accept; iifname "floor0" udp dport { 53, 67 } accept; }
  chain forward { type filter hook forward priority filter; policy accept; ct status dnat accept; iifname "floor0" accept; oifname "floor0" ct state established,related accept; oifname "floor0" reject; }
  chain nat { type nat hook postrouting priority srcnat; policy accept; ip saddr 192.168.77.0/24 ip daddr != 192.168.77.0/24 masquerade; }
}
"""
    return median(lambda: floor.network(conf, rules, pid_file)[0], 9)


def guest_cycle(conn):
    """Guest start and destroy, and the floor: the same QEMU without anybody."""
    starts, ends = [], []
    words = None
    for i in range(8):
        begin = time.perf_counter()
        guest = conn.create_guest(GUEST % "b0")
        starts.append(time.perf_counter() - begin)
        words = words or floor.qemu_command("b0", "/run/floor")
        begin = time.perf_counter()
        conn.destroy_guest(guest)
        ends.append(time.perf_counter() - begin)
    bare_starts, bare_ends = [], []
    for i in range(8):
        begin = time.perf_counter()
        bare = floor.BareQemu([w.replace("guest=b0", "guest=bare") for w in words], "/run/floor")
        bare_starts.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        bare.kill()
        bare_ends.append(time.perf_counter() - begin)
    return {"start": statistics.median(starts), "destroy": statistics.median(ends),
            "bare_start": statistics.median(bare_starts), "bare_destroy": statistics.median(bare_ends), "words": words}


def rpc_cost(conn, daemon):
    """Latency, throughput and CPU of a call that does nothing, and of a list."""
    for _ in range(500):
        conn.version()
    count, cpu = 10000, daemon.cpu()
    latencies = []
    for _ in range(count):
        begin = time.perf_counter()
        conn.version()
        latencies.append(time.perf_counter() - begin)
    used = (daemon.cpu() - cpu) / count
    cpu = daemon.cpu()
    for _ in range(2000):
        conn.list_guests()
    list_used = (daemon.cpu() - cpu) / 2000
    return {"latency_p50": statistics.median(latencies), "latency_p99": quantile(latencies, 0.99),
            "calls_per_second": count / sum(latencies), "cpu_ns_per_call": used, "cpu_ns_per_list": list_used}


def quantile(values, q):
    values = sorted(values)
    return values[min(len(values) - 1, int(q * len(values)))]


def defines(conn, count=1000, batch=50):
    """Defines on a real disk, and the bare durable write of the same size in the same directory; the medians. They take
    turns: what a disk gives changes within a second, and with what was deleted before."""
    text = GUEST % "floor"
    document = (text * 4).encode()
    folder = "/etc/libvirt/qemu"
    os.makedirs(folder, exist_ok=True)
    guests, ours, bare = [], [], []
    while len(guests) < count:
        for _ in range(batch):
            begin = time.perf_counter()
            guests.append(conn.define_guest(GUEST % ("d%d" % len(guests))))
            ours.append(time.perf_counter() - begin)
        for _ in range(batch):
            begin = time.perf_counter()
            floor.durable_write(folder, document)
            bare.append(time.perf_counter() - begin)
    for guest in guests:
        conn.undefine_guest(guest)
    os.unlink(folder + "/floor.xml")
    return {"daemon": statistics.median(ours), "bare": statistics.median(bare)}


def watch_lists(what, stop, out):
    """Another process lists in a loop; its latencies go back through `out`."""
    conn = rpc.Connection(world.SOCKET)
    latencies = []
    while not stop.is_set():
        begin = time.perf_counter()
        getattr(conn, what)()
        latencies.append(time.perf_counter() - begin)
        time.sleep(0.002)
    out.put(latencies)


def at_once(jobs, what):
    """Run the jobs at once, each on a connection of its own; (seconds for all, latencies of lists meanwhile, results)."""
    conns = [rpc.Connection(world.SOCKET) for _ in jobs]
    stop, out = multiprocessing.Event(), multiprocessing.Queue()
    watcher = multiprocessing.Process(target=watch_lists, args=(what, stop, out))
    watcher.start()
    time.sleep(0.3)
    results = [None] * len(jobs)

    def one(i):
        try:
            results[i] = jobs[i](conns[i])
        except (rpc.RpcError, OSError) as e:
            results[i] = e
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(jobs))]
    begin = time.perf_counter()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    took = time.perf_counter() - begin
    stop.set()
    latencies = out.get(timeout=60)
    watcher.join()
    failed = [r for r in results if isinstance(r, Exception)]
    if failed:
        raise failed[0]
    return took, latencies, list(zip(conns, results))


def hook_engine(binaries, calls=100000):
    """The engine alone, without daemon and RPC: a call beside a bare posix_spawn of the same script."""
    words = [binaries + "/examples/hook_cost", binaries + "/ferrovirt-keeper", str(calls)]
    return json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def forty_networks(count=40):
    """Networks started at once with a hook that takes a second."""
    world.hooks({"network": SLEEPER % "start"})
    took, latencies, made = at_once([lambda c, i=i: c.create_network(network(i)) for i in range(count)], "list_networks")
    world.hooks({})
    for conn, net in made:
        conn.destroy_network(net)
        conn.close()
    return {"daemon": took, "list_p50": statistics.median(latencies), "list_p99": quantile(latencies, 0.99)}


def forty_guests(words, count=40, rounds=3):
    """Guests started at once with a hook that takes a second, and as many bare ones at once: the median round of each."""
    ours, bare, listed = [], [], []
    for _ in range(rounds):
        world.hooks({"qemu": SLEEPER % "prepare"})
        took, latencies, made = at_once([lambda c, i=i: c.create_guest(GUEST % ("m%d" % i)) for i in range(count)], "list_guests")
        world.hooks({})
        for conn, guest in made:
            conn.destroy_guest(guest)
            conn.close()
        ours.append(took)
        listed += latencies
        bare.append(floor.qemus(words, "/run/floor", count))
    return {"daemon": statistics.median(ours), "bare": statistics.median(bare), "rounds": {"daemon": ours, "bare": bare},
            "list_p50": statistics.median(listed), "list_p99": quantile(listed, 0.99)}


HANGING = """#!/bin/sh
cat >/dev/null
[ "$2" = prepare ] || exit 0
case "$1" in
hang*) exec sleep 100000;;
inside)
    virsh dumpxml "$1" >/dev/null || exit 1
    begin=$(date +%s%N)
    virsh destroy "$1" 2>/dev/null && exit 1
    echo $(( $(date +%s%N) - begin )) > /run/own-destroy
    virsh start idle0 >/dev/null || exit 1
esac
"""


def hanging(conn, binaries, count=100, stuck=10, asked=300):
    """Guests of which some hang in a hook: what others wait for meanwhile, and how fast they are freed."""
    world.hooks({"qemu": HANGING})
    names = ["hang%d" % i for i in range(stuck)] + ["inside"] + ["idle%d" % i for i in range(count - stuck - 1)]
    guests = {name: conn.define_guest(GUEST % name) for name in names}
    ended = {}

    def start(name):
        own = rpc.Connection(world.SOCKET)
        try:
            own.start_guest(guests[name])
        except rpc.RpcError as e:
            ended[name] = (time.perf_counter(), str(e))
        own.close()
    threads = {name: threading.Thread(target=start, args=(name,)) for name in names[:stuck]}
    for t in threads.values():
        t.start()

    def tool(*words):
        return subprocess.run([binaries + "/ferrovirt", *words], check=True, capture_output=True, text=True).stdout
    deadline = time.time() + 60
    while True:
        running = {hook["arguments"][0]: hook["id"] for hook in json.loads(tool("ps", "--json"))}
        if len(running) == stuck:
            break
        if time.time() > deadline:
            raise RuntimeError("not all hooks hang: %s" % running)
        time.sleep(0.1)
    result = {}
    for what, job in (("list", conn.list_guests), ("domstate", lambda: conn.guest_state(guests["hang0"])),
                      ("domstats", conn.guest_stats), ("net_list", conn.list_networks)):
        latencies = []
        for _ in range(asked):
            begin = time.perf_counter()
            job()
            latencies.append(time.perf_counter() - begin)
        result[what + "_p99"] = quantile(latencies, 0.99)
    conn.start_guest(guests["inside"])
    with open("/run/own-destroy") as f:
        result["own_destroy"] = int(f.read()) / 1e9
    conn.destroy_guest(guests["inside"])
    conn.destroy_guest(guests["idle0"])
    freed = {"cancel": [], "destroy": []}
    for i, name in enumerate(names[:stuck]):
        begin = time.perf_counter()
        if i % 2:
            tool("cancel", str(running[name]))
        else:
            conn.destroy_guest(guests[name])
        threads[name].join(60)
        freed["cancel" if i % 2 else "destroy"].append(ended[name][0] - begin)
    result.update(cancel=max(freed["cancel"]), destroy=max(freed["destroy"]))
    for guest in guests.values():
        conn.undefine_guest(guest)
    world.hooks({})
    return result
