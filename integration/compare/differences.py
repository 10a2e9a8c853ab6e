# SPDX-License-Identifier: Apache-2.0
"""What differs between crun and nacre, and why it may.

Configuration, field and both values are patterns of fnmatch. An entry whose
fields are there and differ in none of the configurations it names is an error,
unless any values will do for it: those are the machine's matter.
"""
import collections
import fnmatch

# Where a comparison is made: by an agent on this machine or in a guest of its
# own, and with the controllers of control groups or without.
AGENT, UML, KVM, GROUPS, NO_GROUPS = 1, 2, 4, 8, 16
MACHINE = UML | KVM
ANY_GROUPS = GROUPS | NO_GROUPS
ALL = AGENT | MACHINE | ANY_GROUPS

# Without controllers crun is told to leave control groups alone.
BY_GROUP = ("cgroup.", "device.", "mount./sys/fs/cgroup")

KNOWN = []


class Difference(collections.namedtuple(
        "Difference", "configuration field crun nacre why where but")):
    __slots__ = ()

    def concerns(self, title):
        return (fnmatch.fnmatchcase(title, self.configuration) and
                title != self.but)


def differ(configuration, field, crun, nacre, why, where=ALL, but=None):
    """but: a configuration that the pattern takes in and this is not for."""
    KNOWN.append(Difference(configuration, field, crun, nacre, why, where,
                            but))


# --- all configurations ------------------------------------------------------

differ("*", "keyring.session", "keyring;*;3f130000;NAME",
       "keyring;*;3f030000;_ses",
       "The session keyring has no name: one that has can be joined by any "
       "container of the user namespace that knows its id.")
MASKED = ("A masked directory has all flags there are, and 'size=0k' is no "
          "limit at all.")
differ("*", "mount.*", "tmpfs tmpfs / rw,size=0k*",
       "tmpfs tmpfs / ro,size=4k*", MASKED)
differ("*", "mount./sys/firmware:flags", "ro,relatime",
       "ro,nosuid,nodev,noexec,relatime", MASKED)
for masked in ("/etc", "/etc#1", "/home"):
    differ("masked-and-readonly", "mount.%s:flags" % masked, "ro,relatime",
           "ro,nosuid,nodev,noexec,relatime", MASKED)
differ("*", "mount./proc/*:flags", "ro,relatime",
       "ro,nosuid,nodev,noexec,relatime",
       "A read-only path keeps the other flags of its mount, as with runc. "
       "What is masked below has the same.")

# --- what crun 1.8.1 leaves out ----------------------------------------------

differ("scheduler", "sched.attr", "policy 0 *",
       "policy 3 flags 0 nice 5 priority 0 *",
       "crun 1.8.1 does not know process.scheduler.")
differ("scheduler", "sched.ioprio", "0", "0x4006",
       "crun 1.8.1 does not know process.ioPriority.")
differ("time-namespace", "ns.time_offsets",
       "monotonic * 0 * 0\\x0aboottime * 0 * 0",
       "monotonic * 1000 * 5\\x0aboottime * 86400 * 0",
       "crun 1.8.1 does not apply linux.timeOffsets.")
differ("idmapped-binds", "mount./data:flags", "rw,relatime,idmapped",
       "rw,nosuid,relatime*",
       "crun 1.8.1 loses nosuid where it maps ids.")

# --- set-up ------------------------------------------------------------------

for configuration in ("terminal*", "readonly-dev"):
    differ(configuration, "mount./dev/console:flags", "rw,relatime",
           "rw,nosuid,noexec,relatime",
           "It is a bind of the container's own terminal, with the flags "
           "that the spec gives to /dev/pts.")
differ("over-each-other", "file./a/b", "41755 *", "40755 *",
       "crun makes the parents of mount points sticky.")
for device in ("full", "null", "random", "tty", "urandom", "zero"):
    differ("user-namespace*", "mount./dev/%s:flags" % device,
           "rw,nosuid,noexec,relatime", "rw,*relatime",
           "A bind of the node that the guest has, with its mount's flags: "
           "neither is of any use on a device.")

differ("device*", "device.console.*", "yes", "EPERM",
       "5:1 is the machine's own console, which the supervisor logs: no "
       "container's business unless a rule allows it.",
       ALL - NO_GROUPS)

for field in ("cgroup.*", "mount./sys/fs/cgroup*"):
    differ("few-namespaces", field, "*", "*",
           "Without a cgroup namespace the container sees its own group "
           "there, not those of the whole machine.", ALL - NO_GROUPS)
for configuration in ("user-namespace", "user-namespace-and-idmapped-binds"):
    differ(configuration, "cgroup.memory.reclaim", "EINVAL", "EACCES",
           "crun gives the group to root of the user namespace even where it "
           "cannot write: runtime-spec, config-linux.md, Cgroup ownership, "
           "asks for that only where it can.", ALL - NO_GROUPS)
differ("user-namespace-that-manages", "cgroup.memory.reclaim", "EINVAL",
       "EACCES",
       "crun gives it to the gid too; the spec, and runc, speak of the uid "
       "alone, which is enough to write.", AGENT | GROUPS)

# --- namespaces --------------------------------------------------------------

OWN_PIDS = ("A container has a PID namespace of its own always: it never "
            "sees the agent's processes.")
differ("time-namespace", "ns.pid", "shared", "own", OWN_PIDS)
for field in ("processes", "session.pgrp", "session.sid", "status.NSpgid",
              "status.NSpid", "status.NSsid", "status.NStgid", "status.Pid",
              "status.Tgid"):
    differ("time-namespace", field, "*", "1", OWN_PIDS)
differ("time-namespace", "status.PPid", "*", "0", OWN_PIDS)

# --- hooks -------------------------------------------------------------------

BUNDLE = "The bundle is on the host; the guest has a directory in its place."
differ("hooks", "hook.create.bundle", '"BUNDLE"', '"/run/*/NAME"', BUNDLE)
differ("hooks", "hook.start.bundle", '"/"', '"/run/*/NAME"', BUNDLE)
# A shell of busybox has more than one of Debian's.
differ("hooks", "hook.env-create", "FOO=bar\\x0a*PWD=BUNDLE*",
       "FOO=bar\\x0a*PWD=/run/*/NAME*", BUNDLE)
for hook in ("create", "start"):
    differ("hooks", "hook.%s.ociVersion" % hook, '"1.0"', '"1.2.0"',
           "The version of the state is that which the agent writes.")
    differ("hooks", "hook.%s.pid" % hook, "0", "*",
           "crun looks for the process from inside of its namespace.")
    differ("hooks", "hook.%s.root" % hook, '"rootfs"', "(none)",
           "crun's own member.")
differ("hooks", "hook.create.status", '"created"', '"creating"',
       "runtime-spec, config.md, createContainer Hooks: the state is that of "
       "the create operation.")
differ("hooks", "hook.start.status", '"starting"', '"created"',
       "runtime-spec, runtime.md, State: there is no status 'starting'.")
differ("hooks", "status.SigBlk", "0000000000010000", "0000000000000000",
       "crun leaves SIGCHLD blocked when it has waited for a hook.")

# --- a machine of its own ----------------------------------------------------

SHARED_TREE = ("What the host shares is virtio-fs in the guest; device nodes "
               "of the host's are none there.")
differ("*", "mount.*", "* BUNDLE/*", "virtiofs *", SHARED_TREE,
       MACHINE | ANY_GROUPS)
for flags, machines in (("", MACHINE), (",nosuid", UML)):
    differ("*", "mount.*:flags", "r?%s,relatime" % flags,
           "r?%s,nodev,relatime" % flags, SHARED_TREE, machines | ANY_GROUPS)
differ("*", "mount.*:flags", "ro,relatime", "ro,nosuid,relatime",
       "A masked file is the /dev/null of the guest, whose devtmpfs is "
       "mounted so.", MACHINE | ANY_GROUPS)
differ("*", "mount.*", "tmpfs dev /* rw,*", "devtmpfs devtmpfs /* rw,size=*",
       "/dev of the guest, which binds what cannot be made.",
       MACHINE | ANY_GROUPS)
differ("*idmapped-binds", "mount.*:flags", "r?,relatime,idmapped",
       "r?,*relatime", "The host maps what it shares, the guest sees only the "
       "outcome.", MACHINE | ANY_GROUPS)
for device in ("full", "null", "random", "tty", "urandom", "zero"):
    differ("no-dev", "mount./dev/%s*" % device, "(none)", "*",
           "Nodes in a tree that the host shares would be none; those of the "
           "guest are bound there.", MACHINE | ANY_GROUPS)
differ("*", "ns.net", "own", "shared",
       "The network of the container is that of its machine.",
       MACHINE | ANY_GROUPS)

differ("user-namespace", "mount./sys/fs/cgroup*", "*", "*",
       "Without a network namespace of its own nobody may mount sysfs there: "
       "it is the guest's, with the groups hidden by an empty directory.",
       KVM | ANY_GROUPS)
differ("user-namespace", "sysctl.net/core/somaxconn", "ENOENT", "*",
       "Linux 6.1 hides it in a network namespace that a user namespace owns; "
       "the guest's belongs to its first one.", KVM | ANY_GROUPS)
for field in ("cpuset.cpus", "cpuset.mems"):
    differ("cpu", "cgroup." + field, "0", "",
           "Numbers of the host's processors: the sandbox is bound to them, "
           "not the guest.", KVM | ANY_GROUPS)

KERNEL = "The guest's kernel is another one, with what containers need alone."
for machine, calls in (
        (UML, ("open_by_handle_at", "perf_event_open", "userfaultfd")),
        (KVM, ("init_module", "kexec_load", "open_by_handle_at"))):
    for call in calls:
        differ("*", "call." + call, "*", "ENOSYS", KERNEL,
               machine | ANY_GROUPS)
for machine, fields in (
        (UML, ("mount./proc/acpi*", "status.Kthread", "status.Mems_allowed",
               "status.Mems_allowed_list", "status.untag_mask")),
        (KVM, ("cgroup.rdma.max", "mount./proc/kcore*",
               "mount./proc/sysrq-trigger*"))):
    for field in fields:
        differ("*", field, "*", "(none)", KERNEL, machine | ANY_GROUPS)
differ("*", "net.sit0", "(none)", "0x80", KERNEL, UML | ANY_GROUPS)
differ("*", "sched.attr", "policy 0 * runtime 1400000 *",
       "policy 0 * runtime 0 *", KERNEL, UML | ANY_GROUPS)
differ("*", "cgroup.cgroup.controllers", "* rdma *", "*", KERNEL,
       KVM | ANY_GROUPS)

SIZE = "The guest's processors and its memory decide."
for field in ("rlimit.NPROC", "rlimit.SIGPENDING"):
    differ("*", field, "*", "*", SIZE, MACHINE | ANY_GROUPS, "rlimits")
for field in ("status.Cpus_allowed", "status.Cpus_allowed_list",
              "sysctl.user/max_user_namespaces"):
    differ("*", field, "*", "*", SIZE, MACHINE | ANY_GROUPS)
for field in ("status.THP_enabled", "status.SpeculationIndirectBranch",
              "status.Speculation_Store_Bypass"):
    differ("*", field, "*", "*", SIZE, UML | ANY_GROUPS)
for field in ("cgroup.cpuset.cpus.effective", "status.Mems_allowed"):
    differ("*", field, "*", "*", SIZE, KVM | ANY_GROUPS)
differ("*", "rlimit.NOFILE", "*", "1048576 1048576",
       "Limits that config.json does not give are those of who calls crun, "
       "and those of the agent.", MACHINE | ANY_GROUPS, "rlimits")

differ("personality", "uts.machine", "i686", "x86_64",
       "User-mode Linux has no other machine than its own.",
       UML | ANY_GROUPS)
