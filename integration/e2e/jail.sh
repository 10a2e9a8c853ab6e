#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What confines the sandbox process, seen from the host while a guest runs.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# What virtio-fs needs: CHOWN DAC_OVERRIDE FOWNER FSETID SETGID SETUID SETFCAP,
# as a mask; with file handles, DAC_READ_SEARCH as well.
file_caps=$(printf '%016x' $((1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 6 | \
	1 << 7 | 1 << 31)))
handle_caps=$(printf '%016x' $((0x$file_caps | 1 << 2)))

# field FILE NAME: a line of /proc/PID/status.
field()
{
	awk -v name="$2:" '$1 == name { print $2 }' "$1"
}

# threads SANDBOX CAPABILITIES VCPUS-CAPABILITIES: what its threads may do.
threads()
{
	local task comm sandbox=$1 caps=$2 vcpu_caps=$3

	for task in /proc/"$sandbox"/task/*; do
		comm=$(cat "$task/comm")
		is "$comm: no_new_privs" "$(field "$task/status" NoNewPrivs)" 1
		is "$comm: seccomp filter" "$(field "$task/status" Seccomp)" 2
		is "$comm: no supplementary group" \
			"$(field "$task/status" Groups)" ''
		is "$comm: empty bounding set" \
			"$(field "$task/status" CapBnd)" 0000000000000000
		case $comm in
		vcpu*) is "$comm: capabilities" \
			"$(field "$task/status" CapPrm)" "$vcpu_caps" ;;
		*) is "$comm: capabilities of file ownership alone" \
			"$(field "$task/status" CapPrm)" "$caps" ;;
		esac
	done
}

namespaces()
{
	local ns sandbox=$1

	for ns in mnt pid ipc uts net; do
		if [ "$(readlink "/proc/$sandbox/ns/$ns")" = \
			"$(readlink "/proc/self/ns/$ns")" ]; then
			fail "$ns namespace of its own"
		else
			pass "$ns namespace of its own"
		fi
	done
	is 'no interface but loopback in its network namespace' \
		"$(nsenter --net --target "$sandbox" ip -o link | wc -l)" 1
}

root()
{
	local sandbox=$1

	# shellcheck disable=SC2012
	is 'an empty root but for the shared tree and the sockets' \
		"$(ls -A "/proc/$sandbox/root" | sort | tr '\n' ' ')" \
		'shared vsock '
	is 'only its container in the shared tree' \
		"$(ls -A "/proc/$sandbox/root/shared")" "$tag-j"
	like 'a read-only root' "$(awk '$5 == "/" { print $6 }' \
		"/proc/$sandbox/mountinfo")" '^ro,nosuid,nodev,noexec'
	is 'nothing of the host is mounted elsewhere' \
		"$(awk '$5 !~ "^/(shared|vsock)?(/|$)"' \
			"/proc/$sandbox/mountinfo")" ''
}

descriptors()
{
	local fd target sandbox=$1 odd=''

	for fd in /proc/"$sandbox"/fd/*; do
		# It may have been closed meanwhile.
		target=$(readlink "$fd") || continue
		case $target in
		/dev/null | /dev/net/tun | socket:* | anon_inode:* | \
			/memfd:* | /shared* | / | pipe:*) ;;
		/proc/*/fd | /*/fd | *vmlinux* | *initramfs* | *vmlinuz*) ;;
		*) odd="$odd $target" ;;
		esac
	done
	is 'no descriptor that it does not need' "$odd" ''
}

# advice FLAG: bytes of the guest's memory that have it, "hg" or "nh": huge pages
# or none (see proc(5), VmFlags). They are not dumped, "dd".
advice()
{
	awk -v flag=" $1( |$)" '
		/^Size:/ { size = $2 }
		/^VmFlags:/ && / dd( |$)/ && $0 ~ flag { sum += size }
		END { print sum * 1024 }' "/proc/$sandbox/smaps"
}

# SIGSYS is how a refused system call ends it.
refused()
{
	quietly kill -SYS "$1"
	happens 'a dead sandbox process ends its container' has_status j stopped
	succeeds 'delete' nacre delete "$tag-j"
}

configure
remember
bundle j
up j
sandbox=$(sandbox_of j)
like 'the sandbox process' "$(cat "/proc/$sandbox/comm")" nacre-sandbox
threads "$sandbox" "$file_caps" "$file_caps"
namespaces "$sandbox"
root "$sandbox"
descriptors "$sandbox"
[ "$machine" != kvm ] || is 'guest memory is in huge pages' "$(advice hg)" \
	$((memory << 20))
refused "$sandbox"
if [ "$machine" = kvm ]; then
	configure '.virtio_fs_on_vcpus = false |
		.virtio_fs_inode_file_handles = "prefer" |
		.transparent_hugepages = false'
	bundle j
	up j
	sandbox=$(sandbox_of j)
	is 'or in none' "$(advice nh) $(advice hg)" "$((memory << 20)) 0"
	threads "$sandbox" "$handle_caps" 0000000000000000
	succeeds 'delete by force' nacre delete --force "$tag-j"
fi
clean 'nothing is left'
