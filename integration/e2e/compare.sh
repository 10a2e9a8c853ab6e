#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What a container finds is what crun makes of the same configuration: all
# configurations by the agent on this machine, in the kernel that crun has,
# and those that a guest can have by the whole of nacre. In the lab: all, by the
# agent of a guest and by crun in it, with each kernel.

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

compare()
{
	try "$python" -B "$root/compare.py" --dir "$work" \
		--probe "$bin/probe" "$@"
	outcomes
	[ -z "$err" ] || fail "$via: compare.py" "$err"
}

# What compare.py says, in $out, becomes the outcome of this suite.
outcomes()
{
	local verdict='' name='' line details=()

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

# in_guest NAME KERNEL INITRAMFS: by nacre-vmm, all by itself.
in_guest()
{
	local cmdline='console=ttyS0 panic=-1 quiet'

	cmdline+=' agent.server_addr=unix:///run/agent.sock'
	cat "$3" "$bin/guest.img" >"$work/$1.initrd"
	truncate -s 256M "$work/$1.disk" && mkfs.ext4 -q "$work/$1.disk"
	timeout 300 "$release/nacre-vmm" --kernel "$2" --rng --memory \
		size=768M --initramfs "$work/$1.initrd" --console off \
		--disk path="$work/$1.disk" \
		--serial tty --cmdline "$cmdline" \
		>"$work/$1.log" 2>&1 </dev/null
	rm "$work/$1.initrd" "$work/$1.disk"
}

in_guests()
{
	local name

	in_guest tuned "$release/vmlinux" "$release/initramfs" &
	in_guest stock "$release/vmlinuz-stock" "$release/initramfs-stock" &
	wait
	for name in tuned stock; do
		via="crun in a guest, $name kernel"
		out=$(sed -n 's/\r*$//; s/^@//p' "$work/$name.log")
		outcomes
		grep -q '^@# status 0' "$work/$name.log" ||
			fail "$via: all of it" "$(tail -n 20 "$work/$name.log")"
	done
}

# The whole way is slow in the lab, and as that of uml.
if [ -n "$small" ]; then
	in_guests
	exit 0
fi
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

via='a machine'
compare "${options[@]}" --only "$whole" --jobs 1 \
	--machine "$machine" --nacre "$NACRE" \
	--root "$state" --config "$config" --log "$log"
