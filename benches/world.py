"""The private world of one daemon under measurement: namespaces, empty directories, the daemon's process."""
import ctypes
import os
import shutil
import subprocess
import time

PRIVATE = ["/run", "/etc/libvirt", "/etc/ferrovirt", "/var/lib/libvirt", "/var/lib/ferrovirt", "/var/log/libvirt"]
HOOKS = "/etc/libvirt/hooks"
SOCKET = "/run/libvirt/libvirt-sock"


def run(*words, **options):
    return subprocess.run(words, check=True, capture_output=True, text=True, **options)


def reap_as_init():
    """We are pid 1 of a new pid namespace: leave the work to a child, reap everybody else's children."""
    child = os.fork()
    while child:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 255)


def enter(kind, disk):
    """Inside fresh namespaces: empty directories; definitions on the real disk under `disk`."""
    run("mount", "--make-rprivate", "/")
    for path in PRIVATE:
        os.makedirs(path, exist_ok=True)
    shutil.rmtree(disk, ignore_errors=True)
    os.makedirs(disk)
    run("mount", "--bind", disk, "/mnt")
    for path in PRIVATE:
        run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
    run("mount", "--bind", "/mnt", "/etc/libvirt")
    os.makedirs("/run/lock", exist_ok=True)
    os.makedirs(HOOKS)
    with open("/etc/libvirt/qemu.conf", "w") as f:
        f.write('user = "root"\ngroup = "root"\nstdio_handler = "file"\n')
    with open("/etc/libvirt/libvirtd.conf", "w") as f:
        f.write('auth_unix_ro = "none"\nauth_unix_rw = "none"\nlog_level = 3\n'
                'max_clients = 5000\nmax_anonymous_clients = 200\n')
    run("ip", "link", "set", "lo", "up")
    if kind == "libvirtd":
        slim_drivers()


CGROUPS = "/sys/fs/cgroup"
CLONE_NEWCGROUP = 0x02000000


def hierarchies():
    """Where control groups are mounted: (directory, kind)."""
    for line in open("/proc/mounts"):
        _, where, kind = line.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            yield where, kind


def enter_cgroup(name):
    """Become the only member of a new control group in each hierarchy, and see it as the root."""
    for where, kind in hierarchies():
        own = os.path.join(where, name)
        os.makedirs(own, exist_ok=True)
        for f in ("cpuset.cpus", "cpuset.mems"):
            if kind == "cgroup" and os.path.exists(own + "/" + f):
                open(own + "/" + f, "w").write(open(where + "/" + f).read())
        open(own + "/cgroup.procs", "w").write("0")
    # os.unshare is of Python 3.12
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWCGROUP):
        raise OSError(ctypes.get_errno(), "unshare")


def remove_cgroup(name):
    """What is left of such a group once nobody is in it."""
    for where, _ in hierarchies():
        for directory, _, _ in os.walk(os.path.join(where, name), topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                pass                         # something still is in it: it stays to be seen


def mount_cgroups():
    """In our namespace of control groups: mount what the machine has, version 1 or 2."""
    controllers = [line.split(":")[1] for line in open("/proc/self/cgroup")]
    old = [c for c in controllers if c and not c.startswith("name=")]
    subprocess.run(["umount", "-R", "-l", "/sys"], capture_output=True)
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    if not old:
        run("mount", "-t", "cgroup2", "cgroup2", CGROUPS)
        os.mkdir(CGROUPS + "/init")          # processes must leave the root before it is divided
        open(CGROUPS + "/init/cgroup.procs", "w").write("0")
        for c in open(CGROUPS + "/cgroup.controllers").read().split():
            open(CGROUPS + "/cgroup.subtree_control", "w").write("+" + c)
        return
    run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", CGROUPS)
    for c in old:
        os.mkdir(os.path.join(CGROUPS, c))
        run("mount", "-t", "cgroup", "-o", c, "cgroup", os.path.join(CGROUPS, c))


def slim_drivers():
    """Only the drivers that the comparison is about (the node device driver needs udev)."""
    for base in ("/usr/lib/x86_64-linux-gnu/libvirt/connection-driver", "/usr/lib/libvirt/connection-driver"):
        if os.path.isdir(base):
            os.makedirs("/run/drivers", exist_ok=True)
            for module in ("qemu", "lxc", "network", "storage", "secret", "nwfilter"):
                path = "%s/libvirt_driver_%s.so" % (base, module)
                if os.path.exists(path):
                    shutil.copy(path, "/run/drivers")
            run("mount", "--bind", "/run/drivers", base)


class Daemon:
    """The daemon's process; `cpu` and `memory` look at it and at its helpers."""

    def __init__(self, command):
        self.log = open("/run/daemon.out", "a")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd="/")
        deadline = time.time() + 60
        while time.time() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError("the daemon ended: " + open("/run/daemon.out").read()[-2000:])
            if os.path.exists(SOCKET) and subprocess.run(["virsh", "-c", "qemu:///system", "uri"], capture_output=True).returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError("the daemon did not become ready")

    def cpu(self):
        """Nanoseconds of CPU time that its threads have used."""
        total = 0
        for task in os.listdir("/proc/%d/task" % self.process.pid):
            try:
                total += int(open("/proc/%d/task/%s/schedstat" % (self.process.pid, task)).read().split()[0])
            except OSError:
                pass
        return total

    def memory(self):
        """Proportional set size in KiB, of the daemon and its child processes."""
        total = 0
        for pid in [self.process.pid] + children(self.process.pid):
            try:
                for line in open("/proc/%d/smaps_rollup" % pid):
                    if line.startswith("Pss:"):
                        total += int(line.split()[1])
            except OSError:
                pass
        return total

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def children(parent):
    """Its children that belong to it (guests and dnsmasq are nobody's children)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            fields = open("/proc/%s/stat" % pid).read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            found += [int(pid)] + children(int(pid))
    return found


def hooks(scripts):
    """Install these hooks, {relative path: text}, and nothing else."""
    for entry in os.listdir(HOOKS):
        path = HOOKS + "/" + entry
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
    for name, text in scripts.items():
        path = HOOKS + "/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o755)
