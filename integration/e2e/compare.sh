#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a container finds is what crun makes of the same configuration: all
# configurations by the agent on this machine, in the kernel that crun has,
# and those that a guest can have by the whole of nacre.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# Containers of crun's inherit how the caller is scheduled; a guest's cannot.
chrt --other --pid 0 $$
renice --priority 0 $$ >/dev/null

root=$checkout/integration/compare
bin=$release/integration/compare
# These go the whole way.
whole='*'
[ "$machine" != kvm ] ||
	whole=base,rlimits,binds,seccomp,terminal,user-namespace,memory,cpu

# crun gives a /dev/null that it binds to the container's user: ours has to be
# another one than the host's.
own_dev()
{
	local node

	mkdir "$work/dev"
	mount -t tmpfs -o mode=755 dev "$work/dev" || bail
	for node in null zero full random urandom tty kmsg fuse net kvm; do
		[ ! -e "/dev/$node" ] || cp -a "/dev/$node" "$work/dev"
	done
	for node in pts shm; do
		mkdir "$work/dev/$node"
		mount --bind "/dev/$node" "$work/dev/$node"
	done
	ln -s pts/ptmx "$work/dev/ptmx"
	ln -s /proc/self/fd "$work/dev/fd"
	mount --move "$work/dev" /dev || bail
}

# The outcome of compare.py becomes that of this suite.
compare()
{
	local verdict='' name='' line details=()

	try "$python" -B "$root/compare.py" --dir "$work" \
		--probe "$bin/probe" "$@"
	while IFS= read -r line; do
		case $line in
		'# '*) details+=("${line#\# }") ;;
		*)
			outcome "$verdict" "$name" "${details[@]}"
			name=${line##* } verdict=${line% *} details=()
			;;
		esac
	done <<<"$out"
	outcome "$verdict" "$name" "${details[@]}"
	[ -z "$err" ] || fail "$via: compare.py" "$err"
}

# outcome VERDICT NAME DETAIL...
outcome()
{
	local verdict=$1 name=$2

	shift 2
	case $verdict in
	ok) pass "$via: $name" ;;
	'not ok') fail "$via: $name" "$@" ;;
	skip) skip "$via: $name" "$*" ;;
	esac
}

start_agent()
{
	agent_log=$work/agent.log
	KATA_AGENT_SERVER_ADDR=unix://$work/agent.sock \
		"$release/nacre-agent" >"$agent_log" 2>&1 </dev/null &
	agent=$!
	cleanup+="; kill $agent"
	must 'the agent runs' await grep -q ready "$agent_log"
}

options=()
if grep -qsw memory /sys/fs/cgroup/cgroup.controllers; then
	options+=(--controllers)
else
	# Of version 2, as nacre-agent and its containers need it.
	mount -t cgroup2 none /sys/fs/cgroup || bail
fi
# CAP_SYS_RESOURCE, number 24.
caps=$(awk '/^CapEff:/ { print $2 }' /proc/self/status)
[ $((0x$caps >> 24 & 1)) -eq 0 ] || options+=(--resource)
# For root of a user namespace, who binds what lies in it.
chmod 755 "$work"
own_dev
start_agent
via='the agent'
compare "${options[@]}" --agent "$agent" "$work/agent.sock" "$bin/agentrun"
kill "$agent"
wait "$agent" 2>/dev/null
cleanup=:

# The lab is slow; that of uml is the same path.
[ -z "$small" ] || exit 0
via='a machine'
compare "${options[@]}" --only "$whole" --jobs 1 \
	--machine "$machine" --nacre "$NACRE" \
	--root "$state" --config "$config" --log "$log"
