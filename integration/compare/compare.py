#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Containers of one configuration by crun and by nacre, field by field.

usage: compare.py --dir DIR --probe FILE [--controllers] [--resource]
                  [--only PATTERN,...] [--jobs N]
                  (--agent PID SOCKET AGENTRUN |
                   --machine uml|kvm --nacre COMMAND...)

With --agent the containers of nacre are made by an agent on this machine,
with --nacre by all of it, in a machine. Prints a line "ok NAME", "not ok NAME"
or "skip NAME", with lines "# DETAIL" after it.
"""
import argparse
import array
import concurrent.futures
import fnmatch
import json
import os
import re
import shutil
import socket
import subprocess

import configurations
import configurations_files  # noqa: F401
import configurations_isolation  # noqa: F401
import configurations_process  # noqa: F401
import differences

TIMEOUT = 120
# Those of the machine's first namespaces, include/linux/proc_ns.h.
INITIAL = {"time": 4026531834, "cgroup": 4026531835, "pid": 4026531836,
           "user": 4026531837, "uts": 4026531838, "ipc": 4026531839,
           "mnt": 4026531841, "net": 4026531840}


class Failed(Exception):
    pass


def make_rootfs(root, probe):
    for name in ("bin", "etc", "home/user", "run/user", "tmp"):
        os.makedirs(os.path.join(root, name))
    os.chmod(os.path.join(root, "tmp"), 0o1777)
    os.chown(os.path.join(root, "home/user"), 1000, 1001)
    os.chmod(os.path.join(root, "home/user"), 0o700)
    shutil.copy(probe, os.path.join(root, "probe"))
    os.link(os.path.join(root, "probe"), os.path.join(root, "bin/probe"))
    shutil.copy(shutil.which("busybox"), os.path.join(root, "bin/sh"))
    os.symlink("etc", os.path.join(root, "link"))
    os.symlink("/run/user", os.path.join(root, "far"))
    for name, text in (
            ("passwd", "root:x:0:0:root:/root:/bin/sh\n"
                       "user:x:1000:1001::/home/user:/bin/sh\n"),
            ("group", "root:x:0:\nuser:x:1001:\n")):
        with open(os.path.join(root, "etc", name), "w",
                  encoding="ascii") as f:
            f.write(text)


def give_away(root, owner):
    for where, _, names in os.walk(root):
        for path in [where] + [os.path.join(where, n) for n in names]:
            st = os.lstat(path)
            os.chown(path, st.st_uid + owner, st.st_gid + owner,
                     follow_symlinks=False)


def make_bundle(args, function, name):
    """A new one for each run: runtimes leave mount points in it."""
    bundle = os.path.join(args.dir, name)
    root = os.path.join(bundle, "rootfs")
    shutil.rmtree(bundle, ignore_errors=True)
    make_rootfs(root, args.probe)
    if function.image:
        function.image(root)
    if function.owner:
        give_away(bundle, function.owner)
    config = configurations.make(function)
    config["linux"]["cgroupsPath"] = "/" + name
    text = json.dumps(config)
    with open(os.path.join(bundle, "config.json"), "w",
              encoding="ascii") as f:
        f.write(text.replace("@ROOT@", root).replace("@BUNDLE@", bundle))
    return bundle


def run(command, **options):
    done = subprocess.run(command, input=b"",
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=TIMEOUT, check=False, **options)
    if done.returncode:
        raise Failed("%s: exit %d: %s" % (
            command[0], done.returncode,
            (done.stderr or done.stdout[-200:]).decode(errors="replace")))
    return done.stdout.decode(errors="replace")


def read_terminal(listener):
    """All that is written to the terminal that comes by the socket."""
    connection, _ = listener.accept()
    fds = array.array("i")
    with connection:
        _, ancillary, _, _ = connection.recvmsg(
            4096, socket.CMSG_LEN(fds.itemsize))
    for _, _, data in ancillary:
        fds.frombytes(data)
    with os.fdopen(fds[0], "rb", buffering=0) as master:
        text = b""
        try:
            while data := master.read(65536):
                text += data
        except OSError:  # EIO: no slave is open any more
            pass
    return text.decode(errors="replace").replace("\r\n", "\n")


def run_bundle(command, bundle, name):
    """What the container writes; command is up to its options."""
    with open(os.path.join(bundle, "config.json"), encoding="ascii") as f:
        terminal = json.load(f)["process"]["terminal"]
    if not terminal:
        return run(command + [name])
    path = bundle + ".sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(TIMEOUT)
        with subprocess.Popen(command + ["--console-socket", path, name],
                              stdin=subprocess.PIPE) as process:
            text = read_terminal(listener)
        os.unlink(path)
    if process.returncode:
        raise Failed("%s: exit %d" % (command[0], process.returncode))
    return text


def run_crun(args, bundle, name):
    manager = "cgroupfs" if args.controllers else "disabled"
    return run_bundle(["crun", "--root", os.path.join(args.dir, "crun"),
                       "--cgroup-manager", manager, "run", "--bundle",
                       bundle], bundle, name)


def run_nacre(args, bundle, name):
    if args.agent:
        return run([args.agent[2], args.agent[1], bundle, name])
    return run_bundle(args.nacre + ["run", "--bundle", bundle], bundle, name)


def flatten(key, value, fields):
    if isinstance(value, dict):
        for name, part in value.items():
            flatten(key + "." + name, part, fields)
    else:
        fields[key] = json.dumps(value)


def own_or_shared(key, value, outside):
    kind = key.partition(".")[2]
    if kind not in outside or ":[" not in value:
        return value
    return "shared" if value == outside[kind] else "own"


def parse_mount(key, value, fields):
    """What is mounted, its flags and its propagation, without the place of
    the bundle in its file system, and without what is the kernel's own, or of
    all mounts of a file system."""
    value = re.sub(r"/\S*NAME/(?=rootfs|volume)", "BUNDLE/", value)
    value = re.sub(",(inode64|nsdelegate|memory_recursiveprot)", "", value)
    kind, source, root, flags, options, propagation = value.split(" ")
    fields[key] = " ".join((kind, source, root, options))
    fields[key + ":flags"] = flags
    fields[key + ":propagation"] = propagation


def parse(text, bundle, name, outside):
    """The fields; what names the bundle or an inode is made comparable."""
    fields = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if not equals:
            raise Failed("not a line of the probe: " + line)
        value = value.replace(bundle, "BUNDLE").replace(name, "NAME")
        if key.startswith("ns."):
            value = own_or_shared(key, value, outside)
        if key.startswith("hook.") and value.startswith("{"):
            flatten(key, json.loads(value.replace("\\x0a", "")), fields)
        elif key.startswith("mount."):
            parse_mount(key, value, fields)
        else:
            fields[key] = value
    if "status.Name" not in fields:
        raise Failed("the probe said nothing: " + text[-500:])
    return fields


def namespaces_of(pid):
    names = {}
    for kind in INITIAL:
        names[kind] = os.readlink("/proc/%s/ns/%s" % (pid, kind))
    return names


def initial_namespaces():
    return {kind: "%s:[%d]" % (kind, number)
            for kind, number in INITIAL.items()}


class Table:
    """The differences that are known, and which of them were met."""

    def __init__(self, where):
        self.entries = [d for d in differences.KNOWN
                        if where & d.where == where]
        self.met = set()
        self.seen = set()

    def explains(self, title, key, crun, nacre):
        for entry in self.entries:
            if (entry.concerns(title) and
                    fnmatch.fnmatchcase(key, entry.field) and
                    fnmatch.fnmatchcase(crun, entry.crun) and
                    fnmatch.fnmatchcase(nacre, entry.nacre)):
                self.met.add(entry)
                return True
        return False

    def see(self, title, keys):
        for entry in self.entries:
            if (entry not in self.seen and entry.concerns(title) and
                    fnmatch.filter(keys, entry.field)):
                self.seen.add(entry)

    def stale(self):
        """What was there and did not differ."""
        return [d for d in self.entries if d in self.seen - self.met and
                (d.crun, d.nacre) != ("*", "*")]


def compare(args, function):
    """The fields of both."""
    # Hardly the name of anything else.
    name = "compare-" + function.title
    bundle = make_bundle(args, function, name)
    crun = parse(run_crun(args, bundle, name), bundle, name,
                 namespaces_of("self"))
    bundle = make_bundle(args, function, name)
    outside = (namespaces_of(args.agent[0]) if args.agent
               else initial_namespaces())
    nacre = parse(run_nacre(args, bundle, name), bundle, name, outside)
    shutil.rmtree(bundle)
    return crun, nacre


def unexplained(args, title, crun, nacre, table):
    lines = []
    keys = sorted(crun.keys() | nacre.keys())
    if not args.controllers:
        keys = [k for k in keys if not k.startswith(differences.BY_GROUP)]
    table.see(title, keys)
    for key in keys:
        a, b = crun.get(key, "(none)"), nacre.get(key, "(none)")
        if a != b and not table.explains(title, key, a, b):
            lines += [key, "  crun:  " + a, "  nacre: " + b]
    return lines


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--probe", required=True)
    parser.add_argument("--controllers", action="store_true")
    parser.add_argument("--resource", action="store_true")
    parser.add_argument("--agent", nargs=3)
    parser.add_argument("--machine", choices=("uml", "kvm"))
    parser.add_argument("--nacre", nargs=argparse.REMAINDER)
    parser.add_argument("--only", default="*")
    parser.add_argument("--jobs", type=int, default=4)
    return parser.parse_args()


def chosen(args):
    return [f for f in configurations.ALL
            if not (args.machine and f.guestless) and
            any(fnmatch.fnmatchcase(f.title, pattern)
                for pattern in args.only.split(","))]


def main():
    args = arguments()
    where = {None: differences.AGENT, "uml": differences.UML,
             "kvm": differences.KVM}[args.machine]
    where |= (differences.GROUPS if args.controllers else
              differences.NO_GROUPS)
    table = Table(where)
    fields = 0
    pool = concurrent.futures.ThreadPoolExecutor(args.jobs)
    results = []
    for function in chosen(args):
        if (function.controllers and not args.controllers or
                function.resource and not args.resource):
            print("skip " + function.title)
            print("# control groups have no controllers here" if
                  function.controllers else "# not without CAP_SYS_RESOURCE")
        else:
            results.append((function.title,
                            pool.submit(compare, args, function)))
    for title, result in results:
        try:
            crun, nacre = result.result()
            fields += len(crun)
            details = unexplained(args, title, crun, nacre, table)
        except (Failed, OSError, subprocess.TimeoutExpired) as e:
            details = str(e).splitlines() or [repr(e)]
        print("not ok" if details else "ok", title)
        for line in details:
            print("# " + line)
    stale = table.stale()
    print("not ok" if stale else "ok", "no-difference-is-gone")
    for entry in stale:
        print("# %s, %s: %s" % (entry.configuration, entry.field, entry.why))
    print("# %d fields" % fields)


main()
