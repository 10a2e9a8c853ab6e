# SPDX-License-Identifier: Apache-2.0
"""Configurations of namespaces, filters, devices and resources."""
from configurations import (MORE_CAPS, caps, configuration, mount, volume,
                            without)
from configurations_files import map_last_mount


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


@configuration(image=volume, owner=100000)
def user_namespace_and_idmapped_binds(config, process, linux):
    user_namespace(config, process, linux)
    mount(config, "bind", "@BUNDLE@/volume", "/data", "rbind", "idmap")
    mount(config, "bind", "@BUNDLE@/volume", "/other", "rbind")
    map_last_mount(config, 100000)


@configuration()
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
