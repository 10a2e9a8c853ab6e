# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks have in common: a clean place, nacre, tables."""
import calendar
import json
import os
import pathlib
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

CHECKOUT = pathlib.Path(__file__).resolve().parents[2]
RELEASE = CHECKOUT / "build" / "release"
RESULTS = CHECKOUT / "build" / "bench"
PROBE = RELEASE / "integration" / "bench" / "probe"
# No start takes as long, not even in the lab.
LIMIT_S = 90


class Failure(Exception):
    pass


def isolate():
    """Namespaces of our own: whatever happens goes with this process."""
    if os.environ.pop("BENCH_INSIDE", None):
        # Below either, this checkout would be hidden.
        run("mount", "--bind", CHECKOUT, "/srv")
        for where in ("/run", "/tmp"):
            run("mount", "-t", "tmpfs", "tmpfs", where)
        if not CHECKOUT.exists():
            CHECKOUT.mkdir(parents=True)
            run("mount", "--bind", "/srv", CHECKOUT)
        run("ip", "link", "set", "lo", "up")
        return
    os.environ["BENCH_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--pid", "--net", "--fork",
                          "--kill-child", "--mount-proc", "--propagation",
                          "private", sys.executable, *sys.argv])


def run(*words, timeout=LIMIT_S):
    """Runs a command; its output."""
    words = [str(w) for w in words]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=timeout, text=True)
    except subprocess.TimeoutExpired:
        raise Failure(f"{words[0]}: no end within {timeout} s") from None
    if done.returncode:
        raise Failure(f"{' '.join(words)}: status {done.returncode}: "
                      f"{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def first_bytes(fd, wanted=None, timeout=LIMIT_S):
    """Reads until `wanted` has come, or anything; when that was, and what."""
    end = time.monotonic() + timeout
    data = b""
    while not data or (wanted and wanted not in data):
        left = end - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise Failure(f"no output within {timeout} s")
        more = os.read(fd, 65536)
        if not more:
            raise Failure(f"the output ends: {data[-200:]!r}")
        data += more
    return time.time_ns(), data


class Nacre:
    """nacre with a configuration, in a directory that goes with us."""

    def __init__(self, machine, memory=128):
        self.machine, self.memory, self.count = machine, memory, 0
        self.work = pathlib.Path(tempfile.mkdtemp(
            prefix="nacre-bench.",
            dir=os.environ.get("NACRE_SCRATCH", "/var/tmp")))
        self.state = self.work / "state"
        try:
            self.prepare()
        except BaseException:
            self.close()
            raise

    def prepare(self):
        self.config = self.work / "configuration.json"
        self.config.write_text(json.dumps({
            "machine": self.machine,
            "kernel": str(RELEASE / "vmlinux"),
            "uml_kernel": str(RELEASE / "vmlinux-uml"),
            "initrd": str(RELEASE / "initramfs"),
            "default_vcpus": 1,
            "default_memory": self.memory,
            "dial_timeout": LIMIT_S,
            "create_container_timeout": LIMIT_S,
        }))
        self.rootfs = self.work / "bundle" / "rootfs"
        for name in ("dev", "proc", "sys", "work"):
            (self.rootfs / name).mkdir(parents=True)
        shutil.copy(PROBE, self.rootfs / "probe")
        run(RELEASE / "nacre", "spec", "--bundle", self.rootfs.parent)

    def configure(self, **settings):
        """Of those that start from now on."""
        config = json.loads(self.config.read_text())
        self.config.write_text(json.dumps({**config, **settings}))

    def close(self):
        if self.state.is_dir():
            for name in os.listdir(self.state):
                subprocess.run(self.command("delete", "--force", name),
                               stdin=subprocess.DEVNULL, timeout=LIMIT_S,
                               stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def bundle(self, *args, netns=None):
        path = self.rootfs.parent / "config.json"
        spec = json.loads(path.read_text())
        spec["process"]["terminal"] = False
        spec["process"]["args"] = list(args)
        spec["root"]["readonly"] = False
        if netns:
            for ns in spec["linux"]["namespaces"]:
                if ns["type"] == "network":
                    ns["path"] = f"/run/netns/{netns}"
        path.write_text(json.dumps(spec))

    def command(self, *words):
        return [str(w) for w in (
            RELEASE / "nacre", "--root", self.state, "--config", self.config,
            "--log", self.work / "log", "--log-format", "json", "--debug",
            *words)]

    def log(self):
        with open(self.work / "log", encoding="utf-8") as lines:
            for line in lines:
                entry = json.loads(line)
                yield stamp_ns(entry["time"]), entry["msg"]

    def start(self):
        """`nacre run --detach`; its id, when it was called, and its output.

        Same as in the foreground until the command is started; then the
        caller is gone, as are podman and containerd.
        """
        self.count += 1
        name = f"bench{self.count}"
        (self.work / "log").write_text("")
        reader, writer = os.pipe()
        began = time.time_ns()
        child = subprocess.Popen(
            self.command("run", "--detach", "--bundle", self.rootfs.parent,
                         name),
            stdin=subprocess.DEVNULL, stdout=writer,
            stderr=open(self.work / "stderr", "wb"))
        os.close(writer)
        self.child = child
        return name, began, reader

    def started(self):
        """Call after the first output."""
        if self.child.wait(timeout=LIMIT_S):
            raise Failure(f"nacre run: {self.said()}")

    def said(self):
        """On stderr; for a container without output."""
        self.child.kill()
        self.child.wait()
        return (self.work / "stderr").read_text().strip()

    def delete(self, name):
        began = time.time_ns()
        run(*self.command("delete", "--force", name))
        return time.time_ns() - began


def stamp_ns(text):
    """2026-01-02T03:04:05.123456789Z"""
    seconds, fraction = text.rstrip("Z").split(".")
    whole = time.strptime(seconds, "%Y-%m-%dT%H:%M:%S")
    return calendar.timegm(whole) * 10**9 + int(fraction.ljust(9, "0"))


# --- processes ---------------------------------------------------------------

def descendants(root):
    """root and all below it."""
    parent = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="latin-1") as stat:
                parent[int(pid)] = int(stat.read().rsplit(")")[-1].split()[1])
        except OSError:
            continue
    found = [root]
    for pid in found:
        found += [p for p, up in parent.items() if up == pid]
    return found


def pss_kib(pid, guest=None):
    """Proportional set size without the mappings of guest memory: of the path
    that is given, else those that are left out of core dumps."""
    total = pss = 0
    with open(f"/proc/{pid}/smaps", encoding="latin-1") as smaps:
        for line in smaps:
            first, *words = line.split()
            if first[-1] != ":":
                path = line
            elif first == "Pss:":
                pss = int(words[0])
            elif first == "VmFlags:":
                total += 0 if (guest in path if guest else "dd" in words) \
                    else pss
    return total


# --- tables ------------------------------------------------------------------

def median(values):
    return statistics.median(values) if values else None


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"


def table(title, head, rows):
    """rows of texts and numbers; the first column is text."""
    cells = [list(head)] + [[c if isinstance(c, str) else number(c)
                             for c in row] for row in rows]
    width = [max(len(row[i]) for row in cells) for i in range(len(head))]
    print(f"\n{title}\n")
    for row in cells:
        line = "  ".join([row[0].ljust(width[0])] +
                         [c.rjust(w) for c, w in zip(row[1:], width[1:])])
        print(("  " + line).rstrip())
    sys.stdout.flush()


def save(name, what):
    RESULTS.mkdir(parents=True, exist_ok=True)
    new = RESULTS / f"{name}.json.new"
    new.write_text(json.dumps(what, indent=1))
    new.rename(RESULTS / f"{name}.json")


def load(name):
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def main(body):
    try:
        body()
    except (Failure, OSError, subprocess.SubprocessError) as failure:
        print(f"{sys.argv[0]}: {failure}", file=sys.stderr)
        sys.exit(1)
