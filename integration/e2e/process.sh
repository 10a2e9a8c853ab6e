#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What config.json says of a process, and what it cannot say.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# status_line NAME: of /proc/self/status, by exec.
status_line()
{
	guest p "awk '/^$1:/ { print \$2 }' /proc/self/status"
}

everything()
{
	guest_is 'user and groups' p 'id -u; id -g; id -G' $'1000\n1001\n1001 2000 2001'
	is 'capabilities: effective' "$(status_line CapEff)" 0000000000000400
	is 'capabilities: permitted' "$(status_line CapPrm)" 0000000000000400
	is 'capabilities: bounding' "$(status_line CapBnd)" 0000000000000480
	is 'capabilities: inheritable' "$(status_line CapInh)" 0000000000000400
	is 'capabilities: ambient' "$(status_line CapAmb)" 0000000000000400
	is 'no_new_privs' "$(status_line NoNewPrivs)" 1
	is 'seccomp is active' "$(status_line Seccomp)" 2
	guest_is 'rlimits' p 'ulimit -n; ulimit -H -n; ulimit -c' $'512\n1024\n0'
	guest_is 'environment' p 'echo "$E2E_ONE|$E2E_TWO"' 'one|two words = here'
	guest_is 'working directory' p pwd /var
	guest_is 'umask' p umask 0027
	guest_is 'oom_score_adj' p 'cat /proc/self/oom_score_adj' 321
	guest_is 'seccomp: what is denied fails' p \
		'mkdir /tmp/x 2>&1 | grep -o "Network is down"' 'Network is down'
	guest_is 'seccomp: the rest works' p 'echo x >/tmp/f; cat /tmp/f' x
	guest_is 'the memory limit' p 'cat /sys/fs/cgroup/memory.max' 41943040
	guest_is 'the limit of processes' p 'cat /sys/fs/cgroup/pids.max' 50
	guest_is 'sysctl' p 'cat /proc/sys/net/ipv4/ip_unprivileged_port_start' 81
	guest_is 'the same of its init' p 'cat /tmp/init' \
		$'1000:1001 1001 2000 2001 /var 0027 512 one'
}

init_too()
{
	local id=$tag-p

	try nacre exec --user 0:0 --cap CAP_SYS_ADMIN "$id" sh -c \
		'id -u; awk "/^CapEff:/ { print \$2 }" /proc/self/status'
	is 'exec: --user and --cap' "$out" $'0\n0000000000200400'
	try nacre exec --no-new-privs "$id" \
		awk '/^NoNewPrivs:/ { print $2 }' /proc/self/status
	is 'exec: --no-new-privs' "$out" 1
}

# Each by exec, so that one sandbox will do.
commands()
{
	local id=$tag-p

	refuses 'exec: no such command in PATH' \
		'"nowhere": executable file not found in \$PATH' \
		nacre exec "$id" nowhere
	refuses 'exec: no such file' '/bin/nowhere.*(not found|[Nn]o such file)' \
		nacre exec "$id" /bin/nowhere
	refuses 'exec: not executable' '[Pp]ermission denied' \
		nacre exec "$id" /etc/passwd
	refuses 'exec: a directory' '[Pp]ermission denied|[Ii]s a directory' \
		nacre exec "$id" /etc
	refuses 'exec: no such working directory' '/no/such/dir' \
		nacre exec --cwd /no/such/dir "$id" true
	returns 'exec: it is none the worse' 0 nacre exec "$id" true
	# Waits for the generator to be seeded.
	guest_is 'random numbers are there at once' p \
		'timeout 10 head -c 16 /dev/random | wc -c' 16
}

# seen KIND N: `events` of container m printed so many lines of that kind.
seen()
{
	[ "$(jq -r .type "$work/events" | grep -cx "$1")" -ge "$2" ]
}

# A process of the container, and then its first one.
out_of_memory()
{
	# shellcheck disable=SC2016
	local eat='awk "BEGIN { x = \"x\"; while (1) x = x x }"' pid

	bundle m '.linux.resources = {memory: {limit: 33554432}}' \
		sh -c "mkfifo /go; read x </go; exec $eat"
	up m
	nacre events --interval 100ms "$tag-m" >"$work/events" 2>&1 &
	pid=$!
	happens 'events: statistics, every now and then' seen stats 2
	returns 'a process that wants too much is killed' 137 \
		nacre exec "$tag-m" sh -c "exec $eat"
	happens 'events: the container ran out of memory' seen oom 1
	is 'events: and it is that' \
		"$(grep -m 1 '"type":"oom"' "$work/events")" \
		'{"type":"oom","id":"'"$tag-m"'"}'
	succeeds 'the next is the first process' nacre exec "$tag-m" \
		sh -c 'echo >/go'
	happens 'it is killed as well' has_status m stopped
	wait "$pid"
	is 'events: ends by itself' $? 0
	succeeds 'events: with that one' seen oom 2
	succeeds 'the log says why it ended' grep -q \
		"$tag-m: killed, as its memory was used up" "$log"
	refuses 'events: of a stopped container' 'container not running' \
		nacre events "$tag-m"
	succeeds 'delete' nacre delete "$tag-m"
	clean 'nothing is left of it'
}

# All memory of the guest, by what the kernel must not kill: it has nothing left.
guest_out_of_memory()
{
	local why='Kernel panic - not syncing: System is deadlocked on memory'

	bundle o '.process.oomScoreAdj = -1000 | .mounts += [
		{destination: "/all", type: "tmpfs", source: "tmpfs",
		options: ["size=100%"]}]' dd if=/dev/zero of=/all/of-it bs=1M
	returns 'a guest without memory ends, and the container with it' 255 \
		nacre run --keep --bundle "$work/o" "$tag-o"
	like 'run: says why' "$err" "^nacre: $tag-o: .*$why\$"
	is 'state: it is stopped' "$(status_of o)" stopped
	like 'state: says why' "$(nacre state "$tag-o" | jq -r .reason)" "$why\$"
	succeeds 'the log says why' grep -q "sandbox $tag-o: .*$why" "$log"
	succeeds 'delete' nacre delete "$tag-o"
	clean 'nothing is left of it'
}

# What a shell of the guest's own does, by the agent's debug console.
console_script='import socket, sys
call = socket.socket(socket.AF_UNIX)
call.connect(sys.argv[1])
call.sendall(b"CONNECT 1026\n")
answer = call.recv(3)
while answer[:3] == b"OK " and answer[-1:] != b"\n":
    answer += call.recv(1)
call.sendall(sys.argv[2].encode() + b"\n")
while call.recv(4096):
    pass'

# The agent is its guest's first process.
agent_crashes()
{
	local why='nacre-agent: ended by signal 11 \(SEGV\) .*: switching off'
	local config=$work/console.json

	mkdir -p "$work/more/bin"
	cp "$(command -v busybox)" "$work/more/bin/sh"
	cp "$(jq -r .initrd "$work/configuration.json")" "$work/initrd"
	(cd "$work/more" && find . | cpio -o -H newc --quiet -R 0:0) \
		>>"$work/initrd"
	jq --arg initrd "$work/initrd" '.initrd = $initrd |
		.kernel_params = "agent.debug_console"' \
		"$work/configuration.json" >"$config"
	bundle a
	up a
	timeout "$limit" "$python" -c "$console_script" \
		"$state/$tag-a/vsock/vsock.sock" 'kill -SEGV 1' \
		>"$work/out" 2>&1 </dev/null
	happens 'a guest whose agent crashes ends, and the container with it' \
		has_status a stopped
	like 'state: says why' "$(nacre state "$tag-a" | jq -r .reason)" "$why\$"
	succeeds 'the log says why' grep -qE "sandbox $tag-a: .*$why" "$log"
	succeeds 'delete' nacre delete "$tag-a"
	rm -r "$work/more" "$work/initrd"
	clean 'nothing is left of it'
}

starts()
{
	bundle no . nowhere
	refuses 'create: no such command in PATH' \
		'"nowhere": executable file not found in \$PATH' create no
	clean 'create: nothing is left of it'
	bundle no . /bin/soon-gone
	cp "$work/no/rootfs/bin/busybox" "$work/no/rootfs/bin/soon-gone"
	configure '.virtio_fs_cache = "never"'
	must 'create, where start will fail' create no
	configure
	rm "$work/no/rootfs/bin/soon-gone"
	refuses 'start: the command is gone' \
		'/bin/soon-gone.*[Nn]o such file' nacre start "$tag-no"
	is 'start: then it is stopped' "$(status_of no)" stopped
	succeeds 'start: then it is deleted' nacre delete "$tag-no"
	clean 'start: nothing is left of it'
	bundle no . /no/such/command
	refuses 'run: no such command' \
		'"/no/such/command".*(not found|[Nn]o such file)' \
		nacre run --bundle "$work/no" "$tag-no"
	clean 'run: nothing is left of it'
	bundle no . /etc/passwd
	refuses 'run: not executable' '[Pp]ermission denied' \
		nacre run --bundle "$work/no" "$tag-no"
	clean 'run: nothing is left of it, either'
}

# shellcheck disable=SC2016
bundle p '.process.user = {uid: 1000, gid: 1001, additionalGids: [2000, 2001],
		umask: 23} |
	.process.capabilities = {
		effective: ["CAP_NET_BIND_SERVICE"],
		permitted: ["CAP_NET_BIND_SERVICE"],
		inheritable: ["CAP_NET_BIND_SERVICE"],
		ambient: ["CAP_NET_BIND_SERVICE"],
		bounding: ["CAP_NET_BIND_SERVICE", "CAP_SETUID"]} |
	.process.noNewPrivileges = true |
	.process.rlimits = [
		{type: "RLIMIT_NOFILE", soft: 512, hard: 1024},
		{type: "RLIMIT_CORE", soft: 0, hard: 0}] |
	.process.env += ["E2E_ONE=one", "E2E_TWO=two words = here"] |
	.process.cwd = "/var" | .process.oomScoreAdj = 321 |
	.linux.seccomp = {defaultAction: "SCMP_ACT_ALLOW",
		architectures: ["SCMP_ARCH_X86_64"],
		syscalls: [{names: ["mkdir", "mkdirat"],
			action: "SCMP_ACT_ERRNO", errnoRet: 100}]} |
	.linux.sysctl = {"net.ipv4.ip_unprivileged_port_start": "81"} |
	.linux.resources = {memory: {limit: 41943040}, pids: {limit: 50}}' \
	sh -c 'echo $(id -u):$(id -g) $(id -G) $(pwd) $(umask) $(ulimit -n) \
		$E2E_ONE >/tmp/init; exec sleep 100000'
remember
up p
happens 'init ran' test -s "$work/p/rootfs/tmp/init"
everything
init_too
commands
succeeds 'delete --force' nacre delete --force "$tag-p"
out_of_memory
guest_out_of_memory
agent_crashes
starts
