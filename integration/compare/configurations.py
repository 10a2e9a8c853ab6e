# SPDX-License-Identifier: Apache-2.0
"""What the configurations have in common: a base, and ways to change it.

A configuration, in one of the modules configurations_*, is a function that
changes the base. Marks on it say what it needs of the machine:

    controllers  control groups with controllers
    resource     CAP_SYS_RESOURCE
    owner        the uid that the root file system is to have
    image        a function that changes the root file system
    guestless    why a machine of its own cannot have it
"""
import copy
import os

DEFAULT_CAPS = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
    "CAP_SETUID", "CAP_SYS_CHROOT",
]
# For those who look at what only root may see.
MORE_CAPS = DEFAULT_CAPS + ["CAP_MKNOD", "CAP_SYS_ADMIN", "CAP_NET_RAW"]

BASE = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": ["/probe"],
        "env": ["PATH=/bin", "HOME=/root"],
        "cwd": "/",
        "capabilities": {
            "bounding": DEFAULT_CAPS,
            "effective": DEFAULT_CAPS,
            "permitted": DEFAULT_CAPS,
        },
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs", "readonly": False},
    "hostname": "box",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc",
         "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
         "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666",
                     "mode=0620", "gid=5"]},
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm",
         "options": ["nosuid", "noexec", "nodev", "mode=1777",
                     "size=65536k"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
         "options": ["nosuid", "noexec", "nodev"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs",
         "options": ["nosuid", "noexec", "nodev", "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup",
         "source": "cgroup",
         "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]},
    ],
    "linux": {
        "cgroupsPath": "/compare",
        "namespaces": [{"type": t} for t in
                       ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
        "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys",
                        "/proc/latency_stats", "/proc/timer_list",
                        "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                          "/proc/sysrq-trigger"],
    },
}

ALL = []


def configuration(**marks):
    def add(function):
        for mark in ("controllers", "resource", "owner", "image",
                     "guestless"):
            setattr(function, mark, marks.get(mark))
        function.title = function.__name__.replace("_", "-")
        ALL.append(function)
        return function
    return add


def make(function):
    config = copy.deepcopy(BASE)
    function(config, config["process"], config["linux"])
    return config


def caps(process, **sets):
    process["capabilities"] = sets


def mount(config, kind, source, destination, *options):
    config["mounts"].append({"destination": destination, "type": kind,
                             "source": source, "options": list(options)})


def without(linux, *kinds):
    linux["namespaces"] = [n for n in linux["namespaces"]
                           if n["type"] not in kinds]


def volume(root):
    """A directory, a file and a link, beside the root file system."""
    path = os.path.join(os.path.dirname(root), "volume")
    os.makedirs(os.path.join(path, "sub"))
    with open(os.path.join(path, "file"), "w", encoding="ascii") as f:
        f.write("text\n")
    os.symlink("file", os.path.join(path, "link"))


@configuration()
def base(config, process, linux):
    pass
