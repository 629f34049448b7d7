# ferrovirtd, as the conformance harness starts it.
{
    "start": ["{dir}/../../target/debug/ferrovirtd"],
    # the complete environment of the daemon
    "env": {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "USER": "root",
        "LOGNAME": "root",
    },
    "uri": {
        "qemu": "qemu:///system",
        "lxc": "lxc:///system",
        "network": "network:///system",
    },
    # The host of the golden runs had no TPM emulator, and what is there decides what is refused.
    "setup": ["[ ! -e /usr/bin/swtpm ] || mount --bind /dev/null /usr/bin/swtpm"],
    "hooks_dir": "/etc/libvirt/hooks",
    "private_dirs": ["/etc/libvirt", "/var/lib/libvirt", "/var/log/libvirt", "/var/cache/libvirt", "/run"],
    "boot_dirs": ["/run"],
    "cache_dirs": ["/var/cache/libvirt/qemu/capabilities"],
    # how the process behind guest {name} is recognized: start of its command line, then words in it
    "guest_process": {
        "qemu": ["/usr/bin/qemu-system", "guest={name}"],
        "lxc": ["/", "/ferrovirt-lxc --name {name} "],
    },
    "log": "/var/log/libvirt/libvirtd.log",
    # groups: severity and message of a log line
    "log_line": r"^\S+ \S+: \d+: (error|warning) : \S+ : (.*)$",
    "files": {
        "/etc/libvirt/libvirtd.conf": """
auth_unix_ro = "none"
auth_unix_rw = "none"
host_uuid = "0000000a-0000-4000-8000-00000000000{host}"
log_level = 3
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
""",
        "/etc/libvirt/qemu.conf": """
user = "root"
group = "root"
stdio_handler = "file"
""",
    },
    # further configurations that a scenario can ask for with "config"
    "variants": {
        "default": {},
        "broken-driver": {"/etc/libvirt/qemu.conf": "user = \n"},
        "broken-daemon": {"/etc/libvirt/libvirtd.conf": "log_level = \n"},
        # guests run with another group, so that labelling (ownership) can be observed
        "labels": {
            "/etc/libvirt/qemu.conf": """
user = "root"
group = "+1234"
dynamic_ownership = 1
stdio_handler = "file"
""",
        },
    },
}
