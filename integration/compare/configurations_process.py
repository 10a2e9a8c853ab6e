# SPDX-License-Identifier: Apache-2.0
"""Configurations of the process, and hooks."""
from configurations import DEFAULT_CAPS, MORE_CAPS, caps, configuration


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
