# SPDX-License-Identifier: Apache-2.0
"""Configurations of the root file system and of mounts."""
import os

from configurations import configuration, mount, volume


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
