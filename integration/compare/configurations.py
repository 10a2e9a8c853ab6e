# SPDX-License-Identifier: Apache-2.0
"""The configurations: a base, and what each makes of it.

A configuration is a function that changes the base. Marks on it say what it
needs of the machine:

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


# --- process -----------------------------------------------------------------

@configuration()
def user(config, process, linux):
    process["user"] = {"uid": 1000, "gid": 1001}


@configuration()
def groups_and_umask(config, process, linux):
    process["user"] = {"uid": 1000, "gid": 1001, "umask": 0o27,
                       "additionalGids": [5, 2000, 2001]}


@configuration()
def root_with_groups(config, process, linux):
    process["user"] = {"uid": 0, "gid": 0, "additionalGids": [1, 2, 3]}


@configuration()
def no_capabilities(config, process, linux):
    caps(process, bounding=[], effective=[], permitted=[], inheritable=[],
         ambient=[])


@configuration()
def capabilities_not_given(config, process, linux):
    del process["capabilities"]


@configuration()
def all_five_sets(config, process, linux):
    some = ["CAP_CHOWN", "CAP_NET_RAW", "CAP_SYS_ADMIN"]
    process["user"] = {"uid": 1000, "gid": 1000}
    caps(process, bounding=some + ["CAP_KILL"], effective=some,
         permitted=some, inheritable=some, ambient=some[:2])


@configuration()
def root_that_gains(config, process, linux):
    """Without noNewPrivileges exec gives root what is in its bounding set."""
    process["noNewPrivileges"] = False
    caps(process, bounding=DEFAULT_CAPS, effective=["CAP_CHOWN"],
         permitted=["CAP_CHOWN"], inheritable=[], ambient=[])


@configuration()
def user_that_keeps_nothing(config, process, linux):
    process["noNewPrivileges"] = False
    process["user"] = {"uid": 65534, "gid": 65534}
    caps(process, bounding=MORE_CAPS, effective=MORE_CAPS,
         permitted=MORE_CAPS, inheritable=DEFAULT_CAPS)


@configuration()
def rlimits(config, process, linux):
    process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024},
        {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
        {"type": "RLIMIT_NPROC", "soft": 100, "hard": 200},
        {"type": "RLIMIT_STACK", "soft": 1 << 20, "hard": 1 << 22},
        {"type": "RLIMIT_AS", "soft": 1 << 32, "hard": 1 << 33},
        {"type": "RLIMIT_MEMLOCK", "soft": 4096, "hard": 8192},
        {"type": "RLIMIT_FSIZE", "soft": 1 << 30, "hard": 1 << 31},
        {"type": "RLIMIT_MSGQUEUE", "soft": 4096, "hard": 8192},
        {"type": "RLIMIT_SIGPENDING", "soft": 10, "hard": 20},
    ]


@configuration(resource=True)
def rlimits_raised(config, process, linux):
    process["rlimits"] = [
        {"type": "RLIMIT_NOFILE", "soft": 600000, "hard": 700000},
        {"type": "RLIMIT_MEMLOCK", "soft": 2**64 - 1, "hard": 2**64 - 1},
        {"type": "RLIMIT_RTPRIO", "soft": 5, "hard": 10},
        {"type": "RLIMIT_NICE", "soft": 20, "hard": 30},
        {"type": "RLIMIT_RTTIME", "soft": 1000, "hard": 2000},
    ]


@configuration()
def oom_score(config, process, linux):
    process["oomScoreAdj"] = 321


@configuration()
def arguments_and_environment(config, process, linux):
    process["args"] = ["probe", "two words", "", "tab\there", "ä"]
    process["env"] = ["PATH=/usr/bin:/", "EMPTY=", "TWO=two words = here",
                      "HOME=/elsewhere", "TERM=xterm", "TWO=again"]


@configuration()
def home_of_passwd(config, process, linux):
    process["env"] = ["PATH=/bin"]
    process["user"] = {"uid": 1000, "gid": 1001}


@configuration()
def cwd_is_made(config, process, linux):
    process["cwd"] = "/made/by/runtime"


@configuration()
def cwd_of_a_user(config, process, linux):
    process["cwd"] = "/home/user"
    process["user"] = {"uid": 1000, "gid": 1001}


@configuration()
def terminal(config, process, linux):
    process["terminal"] = True
    process["consoleSize"] = {"height": 33, "width": 99}


@configuration()
def terminal_of_a_user(config, process, linux):
    process["terminal"] = True
    process["user"] = {"uid": 1000, "gid": 1001}
    process["env"].append("TERM=xterm")


@configuration()
def scheduler(config, process, linux):
    process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 5}
    process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}


# --- root and mounts ---------------------------------------------------------

@configuration()
def root_readonly(config, process, linux):
    config["root"]["readonly"] = True


@configuration(image=volume)
def binds(config, process, linux):
    mount(config, "bind", "volume", "/data", "rbind", "rw")
    mount(config, "bind", "volume", "/ro", "bind", "ro", "nosuid", "nodev")
    mount(config, "none", "volume", "/noexec", "rbind", "noexec", "noatime")
    mount(config, "bind", "volume/file", "/etc/file", "bind", "ro")
    mount(config, "bind", "volume/file", "/new/dir/file", "bind")


def map_last_mount(config, inside):
    for kind in ("uidMappings", "gidMappings"):
        config["mounts"][-1][kind] = [
            {"containerID": 0, "hostID": inside, "size": 1000},
            {"containerID": 1000, "hostID": inside + 5000, "size": 10}]


@configuration(image=volume)
def idmapped_binds(config, process, linux):
    mount(config, "bind", "@BUNDLE@/volume", "/data", "bind", "nosuid")
    map_last_mount(config, 100000)
    mount(config, "bind", "@BUNDLE@/volume", "/all", "rbind", "ro", "ridmap")
    map_last_mount(config, 0)
    mount(config, "bind", "@BUNDLE@/volume/file", "/etc/file", "bind")
    map_last_mount(config, 7)


@configuration(image=volume, owner=100000)
def user_namespace_and_idmapped_binds(config, process, linux):
    user_namespace(config, process, linux)
    mount(config, "bind", "@BUNDLE@/volume", "/data", "rbind", "idmap")
    mount(config, "bind", "@BUNDLE@/volume", "/other", "rbind")
    map_last_mount(config, 100000)


@configuration(image=volume)
def bind_propagation(config, process, linux):
    linux["rootfsPropagation"] = "rslave"
    mount(config, "bind", "volume", "/private", "rbind", "rprivate")
    mount(config, "bind", "volume", "/slave", "rbind", "rslave")
    mount(config, "bind", "volume", "/shared", "rbind", "rshared")
    mount(config, "bind", "volume", "/unbindable", "bind", "unbindable")


@configuration()
def root_shared(config, process, linux):
    linux["rootfsPropagation"] = "shared"


@configuration()
def root_private(config, process, linux):
    linux["rootfsPropagation"] = "rprivate"


@configuration(image=volume)
def recursive_options(config, process, linux):
    mount(config, "tmpfs", "tmpfs", "/outer", "size=1m")
    mount(config, "tmpfs", "tmpfs", "/outer/inner", "size=2m", "mode=700")
    mount(config, "bind", "volume", "/data", "rbind", "rro", "rnosuid")


@configuration()
def tmpfs_of_many_kinds(config, process, linux):
    mount(config, "tmpfs", "tmpfs", "/a", "nosuid", "nodev", "size=10m",
          "mode=1777", "nr_inodes=100")
    mount(config, "tmpfs", "name", "/b", "ro", "noexec", "uid=1000",
          "gid=1001")
    mount(config, "tmpfs", "tmpfs", "/c", "sync", "dirsync", "nodiratime",
          "noatime", "rshared")
    mount(config, "tmpfs", "tmpfs", "/etc", "tmpcopyup", "size=1m")


@configuration()
def readonly_dev(config, process, linux):
    """What is made in it is made before; so is what is mounted below /ro."""
    process["terminal"] = True
    config["mounts"][1]["options"].append("ro")
    mount(config, "tmpfs", "tmpfs", "/ro", "ro", "size=1m")
    mount(config, "tmpfs", "tmpfs", "/ro/below", "size=2m")


@configuration()
def over_each_other(config, process, linux):
    mount(config, "tmpfs", "one", "/a", "size=1m")
    mount(config, "tmpfs", "two", "/a", "size=2m")
    mount(config, "tmpfs", "three", "/a/b/c", "size=3m")


@configuration()
def through_links(config, process, linux):
    """/link of the image leads to /etc, /far to /run/user."""
    mount(config, "tmpfs", "tmpfs", "/link/sub", "size=1m")
    mount(config, "tmpfs", "tmpfs", "/far", "size=2m")


@configuration()
def nothing_masked(config, process, linux):
    linux["maskedPaths"] = []
    linux["readonlyPaths"] = []


@configuration()
def masked_and_readonly(config, process, linux):
    linux["maskedPaths"] = ["/etc/passwd", "/home", "/nosuch", "/link"]
    linux["readonlyPaths"] = ["/etc", "/proc/sys", "/nosuch", "/tmp"]


@configuration()
def sysfs_and_proc_rw(config, process, linux):
    config["mounts"] = [m for m in config["mounts"]
                        if m["destination"] not in
                        ("/sys", "/sys/fs/cgroup", "/proc")]
    mount(config, "proc", "proc", "/proc")
    mount(config, "sysfs", "sysfs", "/sys")
    mount(config, "cgroup", "cgroup", "/sys/fs/cgroup", "rw")


@configuration(image=lambda root: os.mkdir(os.path.join(root, "dev")))
def no_dev(config, process, linux):
    """Devices go into the image's own /dev."""
    config["mounts"] = [m for m in config["mounts"]
                        if not m["destination"].startswith("/dev")]


# --- namespaces --------------------------------------------------------------

NETWORK = "a VM does not share the host's network"


@configuration(guestless=NETWORK)
def few_namespaces(config, process, linux):
    without(linux, "ipc", "uts", "network", "cgroup")
    del config["hostname"]


@configuration(guestless=NETWORK)
def network_of_the_host(config, process, linux):
    without(linux, "network")


@configuration(owner=100000)
def user_namespace(config, process, linux):
    linux["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        linux[kind] = [{"containerID": 0, "hostID": 100000, "size": 65536}]


@configuration(owner=100000)
def user_namespace_that_manages(config, process, linux):
    """It may make groups of its own below that which it has."""
    user_namespace(config, process, linux)
    config["mounts"].pop()
    mount(config, "cgroup", "cgroup", "/sys/fs/cgroup", "rw")


@configuration(owner=100000)
def user_namespace_in_parts(config, process, linux):
    linux["namespaces"].append({"type": "user"})
    for kind in ("uidMappings", "gidMappings"):
        linux[kind] = [{"containerID": 0, "hostID": 100000, "size": 1000},
                       {"containerID": 1000, "hostID": 300000, "size": 10}]
    process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [7]}


@configuration(guestless="user-mode Linux has none")
def time_namespace(config, process, linux):
    """crun 1.8.1 fails with both a pid and a time namespace."""
    without(linux, "pid")
    linux["namespaces"].append({"type": "time"})
    linux["timeOffsets"] = {"monotonic": {"secs": 1000, "nanosecs": 5},
                            "boottime": {"secs": 86400}}


@configuration()
def names(config, process, linux):
    config["hostname"] = "a-longer.name"
    config["domainname"] = "example.org"


@configuration()
def sysctl(config, process, linux):
    linux["sysctl"] = {
        "kernel.shmmax": "4242424",
        "kernel.msgmax": "4096",
        "kernel.sem": "100 200 300 400",
        "fs.mqueue.msg_max": "12",
        "net.ipv4.ip_unprivileged_port_start": "81",
        "net.ipv4.ping_group_range": "0 1000",
        "net.core.somaxconn": "1234",
        "net.ipv4.ip_forward": "1",
    }


# --- filters, devices, resources ---------------------------------------------

@configuration()
def seccomp(config, process, linux):
    linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
            {"names": ["chmod", "setns", "nosuchcall"],
             "action": "SCMP_ACT_ERRNO", "errnoRet": 100},
            {"names": ["mount", "bpf"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["personality"], "action": "SCMP_ACT_ERRNO",
             "errnoRet": 38,
             "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO",
             "errnoRet": 97,
             "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_GE"}]},
            {"names": ["unshare"], "action": "SCMP_ACT_ERRNO",
             "errnoRet": 13,
             "args": [{"index": 0, "value": 16, "valueTwo": 16,
                       "op": "SCMP_CMP_MASKED_EQ"}]},
        ],
    }


@configuration()
def seccomp_by_default(config, process, linux):
    """A list of what is allowed; without noNewPrivileges, and as a user."""
    process["noNewPrivileges"] = False
    process["user"] = {"uid": 1000, "gid": 1001}
    linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": 38,
        "architectures": ["SCMP_ARCH_X86_64"],
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
        "syscalls": [{"names": [
            "access", "arch_prctl", "brk", "capset", "chdir", "close",
            "dup", "dup2", "execve", "exit", "exit_group", "fcntl",
            "fstat", "fstatfs", "futex", "getcwd", "getdents64", "getpgrp",
            "getpid", "getppid", "getrlimit", "getsid", "getuid", "ioctl",
            "ioprio_get", "keyctl", "lseek", "lstat", "mkdir", "mknod",
            "mmap", "mprotect", "munmap", "newfstatat", "open", "openat",
            "personality", "poll", "ppoll", "prctl", "pread64", "prlimit64",
            "read", "readlink", "readlinkat", "recvmsg", "rmdir", "rseq",
            "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
            "sched_getattr", "sendto", "set_robust_list", "set_tid_address",
            "setgid", "setgroups", "setresgid", "setresuid", "setuid",
            "socket", "stat", "statfs", "statx", "umask", "uname", "unlink",
            "wait4", "write", "writev"],
            "action": "SCMP_ACT_ALLOW"}],
    }


@configuration()
def personality(config, process, linux):
    linux["personality"] = {"domain": "LINUX32"}


@configuration(controllers=True)
def devices(config, process, linux):
    caps(process, bounding=MORE_CAPS, effective=MORE_CAPS,
         permitted=MORE_CAPS)
    linux["devices"] = [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229,
         "fileMode": 0o660, "uid": 1, "gid": 2},
        {"path": "/dev/sub/dir/loop", "type": "b", "major": 7, "minor": 0},
        {"path": "/dev/pipe", "type": "p", "fileMode": 0o600},
        {"path": "/elsewhere", "type": "u", "major": 1, "minor": 3,
         "fileMode": 0o644},
    ]
    linux["resources"]["devices"] += [
        {"allow": True, "type": "c", "major": 10, "minor": 229,
         "access": "rwm"},
        {"allow": True, "type": "c", "major": 1, "minor": 11, "access": "r"},
    ]


@configuration(controllers=True)
def device_rules(config, process, linux):
    caps(process, bounding=MORE_CAPS, effective=MORE_CAPS,
         permitted=MORE_CAPS)
    linux["resources"]["devices"] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "access": "m"},
        {"allow": True, "type": "c", "major": 10, "access": "rw"},
        {"allow": False, "type": "c", "major": 10, "minor": 200,
         "access": "w"},
        {"allow": True, "type": "b", "major": 7, "minor": 0,
         "access": "rwm"},
    ]


@configuration(controllers=True)
def all_devices(config, process, linux):
    caps(process, bounding=MORE_CAPS, effective=MORE_CAPS,
         permitted=MORE_CAPS)
    linux["resources"]["devices"] = [{"allow": True, "access": "rwm"}]


@configuration(controllers=True)
def memory(config, process, linux):
    linux["resources"]["memory"] = {
        "limit": 64 << 20, "reservation": 32 << 20, "swap": 96 << 20}


@configuration(controllers=True)
def memory_unlimited(config, process, linux):
    linux["resources"]["memory"] = {"limit": -1, "swap": -1}
    linux["resources"]["pids"] = {"limit": -1}


@configuration(controllers=True)
def cpu(config, process, linux):
    linux["resources"]["cpu"] = {"shares": 2048, "quota": 50000,
                                 "period": 200000, "cpus": "0", "mems": "0"}


@configuration(controllers=True)
def cpu_low(config, process, linux):
    linux["resources"]["cpu"] = {"shares": 2, "quota": -1,
                                 "period": 50000, "burst": 0}


@configuration(controllers=True)
def pids_and_hugepages(config, process, linux):
    linux["resources"]["pids"] = {"limit": 50}
    linux["resources"]["hugepageLimits"] = [
        {"pageSize": "2MB", "limit": 4 << 20}]


@configuration(controllers=True)
def unified(config, process, linux):
    linux["resources"]["unified"] = {
        "memory.high": "50331648", "memory.min": "1048576",
        "cpu.weight": "77", "pids.max": "33", "io.weight": "default 50"}


@configuration(controllers=True)
def block_io(config, process, linux):
    rate = {"major": 254, "minor": 0}
    linux["resources"]["blockIO"] = {
        "weight": 300,
        "throttleReadBpsDevice": [{**rate, "rate": 1048576}],
        "throttleWriteBpsDevice": [{**rate, "rate": 2097152}],
        "throttleReadIOPSDevice": [{**rate, "rate": 1000}],
        "throttleWriteIOPSDevice": [{**rate, "rate": 2000}],
    }


# --- hooks -------------------------------------------------------------------

def keep(name, directory):
    """Copies the state that the hook gets, and its environment."""
    return [{"path": "/bin/sh", "timeout": 10, "env": ["FOO=bar"],
             "args": ["sh", "-c", "cat >%s/hook.%s; env | sort >%s/hook.env-%s"
                      % (directory, name, directory, name)]}]


@configuration(guestless="these hooks are the guest's programs")
def hooks(config, process, linux):
    config["annotations"] = {"org.example.key": "value"}
    config["hooks"] = {"createContainer": keep("create", "@ROOT@"),
                       "startContainer": keep("start", "")}
