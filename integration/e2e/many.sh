#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Many containers in a sandbox, many processes in them, one after another and
# at once: nothing of them stays, in the guest or on the host.

# Where the kernel gives huge pages unasked, a heap that grows by one page takes
# two megabytes. PR_SET_THP_DISABLE is passed on.
[ -n "${NACRE_SMALL_PAGES-}" ] || NACRE_SMALL_PAGES=1 exec /usr/bin/python3 -c \
	'import ctypes, os, sys
ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])' "$0" "$@"

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

containers=50 execs=500 at_once=50
# In the lab all that takes four minutes.
[ -z "$small" ] || [ -n "${NACRE_NIGHTLY-}" ] || containers=3 execs=6 at_once=4

type_key=io.kubernetes.cri.container-type id_key=io.kubernetes.cri.sandbox-id

# metric NAME: of the guest.
metric()
{
	awk -v name="$1" '$1 == name { print $2 }' "$work/metrics"
}

# meminfo ITEM: of the guest, in KiB.
meminfo()
{
	metric "kata_guest_meminfo{item=\"$1\"}"
}

# entries DIRECTORY
entries()
{
	find "$1" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}

# family PID: it and all below it.
family()
{
	ps -eo pid=,ppid= | awk -v top="$1" '{ parent[$1] = $2 }
		END {
			for (pid in parent) {
				for (p = pid; p in parent && p != top;)
					p = parent[p]
				if (p == top)
					print pid
			}
		}'
}

# The processes of the pod on the host, by their names: how many have how many
# descriptors.
descriptors()
{
	local pid name files

	for pid in $(family "$supervisor"); do
		files=("/proc/$pid/fd"/*)
		read -r name 2>/dev/null <"/proc/$pid/comm" &&
			echo "$name: descriptors ${#files[@]}"
	done | sort | uniq -c
}

# What there is of things that can be counted, a line each.
count()
{
	local name pid

	"$release/integration/e2e/metrics" "$state/$tag-pod/vsock/vsock.sock" \
		>"$work/metrics" || return
	for name in nacre_agent_descriptors nacre_agent_mounts \
		nacre_guest_processes nacre_guest_cgroups; do
		echo "$name $(metric $name)"
	done
	for name in supervisor sandbox; do
		pid=${!name}
		echo "$name: threads $(entries "/proc/$pid/task")"
		echo "$name: mounts $(wc -l <"/proc/$pid/mountinfo")"
		echo "$name: children $(pgrep -cP "$pid")"
	done
	descriptors
	echo "mounts $(wc -l </proc/self/mountinfo)"
	echo "state $(find "$state" | wc -l)"
	echo "cgroups $(find /sys/fs/cgroup -type d -path "*$tag*" | wc -l)"
}

# The memory that is nobody's to give back, in KiB.
weigh()
{
	local name

	"$release/integration/e2e/metrics" "$state/$tag-pod/vsock/vsock.sock" \
		>"$work/metrics" || return
	echo "agent $(($(metric kata_agent_total_rss) / 1024))"
	for name in sunreclaim kernel_stack page_tables percpu anon_pages \
		shmem; do
		echo "guest-$name $(meminfo $name)"
	done
	echo "guest-used $(($(meminfo mem_total) - $(meminfo mem_available)))"
	echo "supervisor $(anonymous "$supervisor")"
	echo "sandbox $(anonymous "$sandbox")"
}

# Without the guest's memory, which is left out of core dumps ("dd").
anonymous()
{
	awk '/^Anonymous:/ { anonymous = $2 }
		/^VmFlags:/ && !/ dd( |$)/ { sum += anonymous }
		END { print sum }' "/proc/$1/smaps"
}

# settled FILE: counts into it, until that is the same three times more. What
# has ended for its caller may be about to end elsewhere.
settled()
{
	local times=0 end=$((SECONDS + limit))

	count >"$1"
	while [ $times -lt 3 ] && [ $SECONDS -lt $end ]; do
		sleep 0.2
		times=$((times + 1))
		counts_are "$1" || {
			cp "$work/counts" "$1"
			times=0
		}
	done
}

counts_are()
{
	count >"$work/counts" && cmp -s "$work/counts" "$1"
}

# same DESCRIPTION FILE: sooner or later, all is as count has written it there.
same()
{
	if await counts_are "$2"; then
		pass "$1"
	else
		fail "$1" "$(diff "$2" "$work/counts" | grep '^[<>]')"
	fi
}

# light FILE: the agent was, of whatever it has to know.
light()
{
	local kib

	kib=$(awk '$1 == "agent" { print $2 }' "$1")
	echo "# the agent: $kib KiB"
	[ "${kib:-0}" -gt 0 ] && [ "$kib" -le 2048 ] &&
		pass 'and takes at most 2 MiB' ||
		fail 'and takes at most 2 MiB' "$kib KiB"
}

# weights_are FILE KIB: nothing is by more than that over what it was; all that
# a guest uses, of which its kernel may well keep some, by four times that.
weights_are()
{
	local name was is most

	weigh >"$work/weights"
	compared='' heavier=''
	while read -r name was; do
		is=$(awk -v name="$name" '$1 == name { print $2 }' \
			"$work/weights")
		compared+="# $name: $was KiB, later $is KiB"$'\n'
		most=$2
		[ "$name" != guest-used ] || most=$((4 * most))
		[ -n "$was" ] && [ -n "$is" ] && [ $((is - was)) -le $most ] ||
			heavier+=" $name"
	done <"$1"
	[ -z "$heavier" ]
}

# no_heavier DESCRIPTION FILE KIB: the same, sooner or later: a kernel frees
# some of it when it has the time.
no_heavier()
{
	await weights_are "$2" "$3"
	printf '%s' "$compared"
	is "$1" "$heavier" ''
}

# At most eight at once: each has two processes on the host while it starts.
start_all()
{
	local i

	for ((i = 0; i < containers; i++)); do
		{ nacre create --bundle "$work/c" "$tag-c$i" </dev/null \
			>/dev/null && nacre start "$tag-c$i"; } \
			2>>"$work/errors" &
		[ $((i % 8)) -ne 7 ] || wait_for_jobs
	done
	wait_for_jobs
}

delete_all()
{
	local i

	for ((i = 0; i < containers; i++)); do
		nacre delete --force "$tag-c$i" 2>>"$work/errors" &
		[ $((i % 8)) -ne 7 ] || wait_for_jobs
	done
	wait_for_jobs
}

# Counts those that failed.
wait_for_jobs()
{
	local pid

	for pid in $(jobs -p); do
		wait "$pid" || failures=$((failures + 1))
	done
}

all_at_once()
{
	local i

	for ((i = 0; i < at_once; i++)); do
		{
			nacre exec "$tag-c$((i % containers))" \
				sh -c "echo $i" >"$work/out.$i" &&
				[ "$(cat "$work/out.$i")" = $i ]
		} 2>>"$work/errors" &
	done
	wait_for_jobs
}

one_by_one()
{
	local i rc

	for ((i = 0; i < execs; i++)); do
		rc=0
		nacre exec "$tag-c$((i % containers))" \
			sh -c "exit $((i % 256))" 2>>"$work/errors" || rc=$?
		[ $rc -eq $((i % 256)) ] || failures=$((failures + 1))
	done
}

# nothing_failed DESCRIPTION
nothing_failed()
{
	is "$1" "$failures failed" '0 failed' ||
		head -n 5 "$work/errors" | sed 's/^/# /'
	failures=0
}

bundle pod ".annotations = {\"$type_key\": \"sandbox\"}"
bundle c ".annotations = {\"$type_key\": \"container\",
	\"$id_key\": \"$tag-pod\"}"
remember
failures=0
up pod
supervisor=$(supervisor_of pod)
sandbox=$(sandbox_of pod)
# Once, so that all has its buffers.
start_all
all_at_once
delete_all
nothing_failed "a first round of $containers containers"
settled "$work/empty"
weigh >"$work/light"

start_all
nothing_failed "$containers containers start"
is 'all of them run' "$(nacre list | grep -c running)" $((containers + 1))
# What the guest looks up, the host has open.
for ((i = 0; i < containers; i++)); do
	nacre exec "$tag-c$i" sh -c : || failures=$((failures + 1))
done
nothing_failed 'a process in each'
settled "$work/full"
weigh >"$work/loaded"
is 'their agent has one thread' "$(metric kata_agent_threads)" 1
light "$work/loaded"
one_by_one
nothing_failed "$execs processes, one after another"
no_heavier 'their memory comes back' "$work/loaded" 512
same 'nothing of them stays' "$work/full"
all_at_once
nothing_failed "$at_once processes at once"
same 'nothing of them stays, either' "$work/full"
delete_all
nothing_failed 'all containers are deleted'
same 'nothing of the containers stays' "$work/empty"
no_heavier 'all memory comes back' "$work/light" 1024
succeeds 'delete --force of the sandbox' nacre delete --force "$tag-pod"
clean 'nothing is left'
