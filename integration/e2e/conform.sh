#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Calls on files, case by case (integration/virtiofs/conform.c): in a container,
# with an ext4 and a tmpfs as volumes, and by a process of the host, in the same
# directories. What they return has to agree, errno by errno.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

conform=$release/integration/virtiofs/conform
# All cases are one command; who runs the suite limits that.
limit=600
# Of all cases.
least=4000
# In the lab a case takes 0.04 s, so it is one in three on each, and only with
# NACRE_NIGHTLY in the environment all of them; with a kernel of Debian's, one in
# eleven, for what newer ones ask the server. A prime number, so that no
# parameter of the cases has one value in all of a part.
step=1 last=0
[ -z "$small" ] || step=3
[ "$kernel" = tuned ] || step=11
[ -z "${NACRE_NIGHTLY-}" ] || last=$((step - 1))

# The user-mode guest, its device and what asks there take turns: waking each
# other on two processors takes longer than on one.
if [ "$machine" = uml ]; then
	processors=$(taskset -cp $$)
	taskset -cp "${processors##*[!0-9]}" $$ >/dev/null
fi

# What the guest may cache, and whether writes wait there, decides which requests
# there are: a part of the cases with each that is not the default.
# For one kernel; those without a cache, which differ in one thing more, at last.
policies='always writeback never metadata'
few=10
[ -z "$small" ] || few=60
[ "$kernel" = tuned ] || policies=

# What differs, as an extended regular expression for "VOLUME: CASE", and why.
declare -A known=(
	['ext4: shift range']='FUSE does not know of it'
	["[^:]*: xattr: .*'trusted\."]='the sandbox process has no CAP_SYS_ADMIN'
)
if [ "$kernel" = tuned ]; then
	known['[^:]*: birth time']='FUSE has no statx before Linux 6.6'
	known['[^:]*: file handle']='our guest kernel has no such calls'
	known['[^:]*: lease']='our guest kernel refuses them, of FUSE'
	known['[^:]*: set-group-ID directory: group 50']='FUSE does not tell
		supplementary groups before Linux 6.3'
else
	known['[^:]*: acl']="without a patch of ours, FUSE forgets them where a
		mount begins"
	known['[^:]*: file handle']='FUSE opens by handle what its kernel still
		knows, as the server exports nothing'
fi
declare -A met

# agree VOLUME LEAST [WITH]: in all but what is known, and that many cases.
agree()
{
	local cases pattern hits expected=0 what=$1${3:+, $3}

	cases=$(wc -l <"$work/$1.host")
	diff -a "$work/c/rootfs/$1.guest" "$work/$1.host" |
		sed -n "s/^[<>] /&$1: /p" >"$work/odd"
	for pattern in "${!known[@]}"; do
		hits=$(grep -acE "^< $pattern" "$work/odd")
		[ "$hits" -eq 0 ] || met[$pattern]=y
		expected=$((expected + hits))
		sed -i -E "/^[<>] $pattern/d" "$work/odd"
	done
	if [ ! -s "$work/odd" ] && [ "$cases" -ge "$2" ]; then
		pass "$what: both agree in $((cases - expected)) of $cases cases"
	else
		fail "$what: they differ ($cases cases)" "$(cat "$work/odd")"
	fi
}

# both FIRST STEP FIRST: a part of the cases, in the container and on the host, on
# the ext4 and another part on the tmpfs.
both()
{
	guest_ok 'cases on both in the container, at the same time' c "
		/bin/conform -t -p $1/$2 /ext4 >>/ext4.guest &
		/bin/conform -t -p $3/$2 /tmpfs >>/tmpfs.guest && wait \$!"
	succeeds 'and on the host' sh -c "cd '$work' &&
		'$conform' -t -p $1/$2 ext4 >>ext4.host &&
		'$conform' -t -p $3/$2 tmpfs >>tmpfs.host"
}

# begin: the container, anew. It may do all that root may do with files.
begin()
{
	rm -f "$work"/{ext4,tmpfs}.host
	bundle c '.mounts += [["ext4", "tmpfs"][] | {destination: ("/" + .),
			type: "bind", source: ($work + "/" + .),
			options: ["bind"]}] |
		.process.capabilities |= map_values(. + ["CAP_CHOWN",
			"CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",
			"CAP_SETUID", "CAP_SETGID", "CAP_MKNOD", "CAP_SETFCAP",
			"CAP_SYS_ADMIN", "CAP_LEASE",
			"CAP_DAC_READ_SEARCH"] | unique) |
		.linux.resources.devices = [{allow: true, access: "rwm"}]'
	cp "$conform" "$work/c/rootfs/bin"
	up c
}

# A line for each request queue in the container: how often it interrupted.
interrupts()
{
	guest c "awk '/virtio[0-9]+-requests/ {
		n = 0
		for (i = 2; \$i ~ /^[0-9]+\$/; i++)
			n += \$i
		print \$NF, n }' /proc/interrupts" | sort
}

# more_on_queues BEFORE: on how many there were interrupts since.
more_on_queues()
{
	interrupts | join "$1" - | awk '$3 > $2' | wc -l
}

all_cases()
{
	local part other start=$SECONDS

	begin
	interrupts >"$work/before"
	for ((part = 0; part <= last; part++)); do
		# Of the tmpfs others, while that is a choice.
		other=$(((part + step / 2) % step))
		both $part $step $other
	done
	echo "# cases: $((SECONDS - start)) s"
	# Linux 6.11 and later use all queues that there are.
	[ "$kernel" != backports ] || is 'requests came on both queues' \
		"$(more_on_queues "$work/before")" 2
	agree ext4 $((least * (last + 1) / step))
	agree tmpfs $((least * (last + 1) / step))
	[ "$kernel" != tuned ] || is 'no lease is granted in the container' \
		"$(cat "$work/c/rootfs"/*.guest |
			grep -ac '^lease.*[^a-z]set: 0;')" 0
	succeeds 'delete by force' nacre delete --force "$tag-c"
}

# with_policy POLICY NUMBER: a part of its own.
with_policy()
{
	local first=$((2 * $2))

	case $1 in
	writeback) configure '.virtio_fs_writeback = true' ;;
	*) configure ".virtio_fs_cache = \"$1\"" ;;
	esac
	case $1 in
	never | metadata)
		known['[^:]*: mmap: shared mapping, writable']='FUSE shares no
			mapping of what is not cached before Linux 6.6' ;;
	esac
	begin
	both $first $few $((first + 1))
	agree ext4 $((least / few)) "$1"
	agree tmpfs $((least / few)) "$1"
	succeeds 'delete by force' nacre delete --force "$tag-c"
}

mkdir "$work/ext4" "$work/tmpfs"
mount -t tmpfs tmpfs "$work/tmpfs" || bail
quietly dd if=/dev/zero of="$work/tmpfs/direct" bs=4096 count=1 oflag=direct ||
	known['tmpfs: open direct: ']='FUSE takes O_DIRECT for a file system
		that does not, as a tmpfs before Linux 6.6'
all_cases
[ $last -lt $((step - 1)) ] || for pattern in "${!known[@]}"; do
	[ -n "${met[$pattern]-}" ] ||
		fail 'what differs by the list does not' "$pattern"
done
part=0
for policy in $policies; do
	with_policy "$policy" $part
	part=$((part + 1))
done
