#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The sandbox's cgroup on the host: where cgroup v2 has the controllers, as
# in the lab. Elsewhere nothing is made, and the log says so.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

controllers=/sys/fs/cgroup/cgroup.controllers
path=$tag/box
# The last: guests stay away from the lab's first.
cpu=$(sed 's/.*[-,]//' /sys/devices/system/cpu/online)

everyone_inside()
{
	local pid

	for pid in $(pgrep -P "$(supervisor_of c)") \
		$(pgrep -P "$(sandbox_of c)"); do
		grep -qx "0::/$path" "/proc/$pid/cgroup" || return 1
	done
}

limits()
{
	local dir=/sys/fs/cgroup/$path
	local size=$((memory > 64 + 32 ? memory : 64 + 32))

	succeeds 'the sandbox and all below it are in it' everyone_inside
	is 'memory: the VM and its overhead' \
		"$(cat "$dir/memory.max")" $(((size + 32) << 20))
	is 'cpu: quota and period' "$(cat "$dir/cpu.max")" '50000 100000'
	is 'cpu: weight of the shares' "$(cat "$dir/cpu.weight")" 79
	is 'cpuset: the CPUs of the host' "$(cat "$dir/cpuset.cpus")" \
		"$cpu"
	guest_is 'the guest is not bound by the numbers of the host' c \
		'cat /sys/fs/cgroup/cpuset.cpus 2>/dev/null' ''
}

v2()
{
	bundle c '.linux.cgroupsPath = "/'"$path"'" | .linux.resources = {
		memory: {limit: 67108864},
		cpu: {quota: 50000, period: 100000, shares: 2048, cpus: "'"$cpu"'"},
		pids: {limit: 100}}'
	up c
	limits
	refuses 'a cgroup that is in use is refused' 'holds processes' \
		nacre create --bundle "$work/c" "$tag-d"
	succeeds 'delete --force' nacre delete --force "$tag-c"
	is 'it is gone' "$(ls -d "/sys/fs/cgroup/$path" 2>/dev/null)" ''

	up c
	quietly kill -9 "$(supervisor_of c)"
	happens 'the sandbox ends with its supervisor' has_status c stopped
	succeeds 'delete after the death of the supervisor' \
		nacre delete "$tag-c"
	is 'it is gone then, too' \
		"$(ls -d "/sys/fs/cgroup/$path" 2>/dev/null)" ''
	rmdir "/sys/fs/cgroup/$tag"
}

elsewhere()
{
	bundle c '.linux.resources = {memory: {limit: 67108864}}'
	up c
	succeeds 'the log says that there are no limits' \
		grep -q 'no limits on the host' "$log"
	succeeds 'delete --force' nacre delete --force "$tag-c"
}

configure
remember
if grep -qw memory "$controllers" 2>/dev/null; then
	v2
else
	elsewhere
fi
clean 'nothing is left'
