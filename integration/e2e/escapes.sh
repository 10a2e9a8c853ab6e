#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# A guest that wants out: its first process takes the virtio-fs device from the
# kernel and drives it without manners (integration/virtiofs/hostile_guest.c).
# The device is a sandbox process's, with all that confines it. For a machine
# whose devices a guest can take: kvm.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

programs=$release/integration/virtiofs
# Of the random groups.
seconds=1
[ -z "${NACRE_NIGHTLY-}" ] || seconds=10
seed=${NACRE_SEED:-$RANDOM}

# What the share and outside are, and what is mounted in the share.
make_share()
{
	local dir=$work/$1

	rm -rf "${dir:?}/rootfs"
	mkdir -p "$dir"/rootfs/{mnt,proc} "$dir/outside/mounted"
	mount --bind "$dir/outside/mounted" "$dir/rootfs/mnt"
	mount --bind /proc "$dir/rootfs/proc"
}

unmake_share()
{
	umount "$work/$1/rootfs/proc" "$work/$1/rootfs/mnt"
}

# shown FILE TITLE: a line for each group, and before it what was wrong.
shown()
{
	local line details=()

	while IFS= read -r line; do
		case $line in
		"ok $2: "*' # SKIP '*)
			skip "$2: $(cut -d ' ' -f 3 <<<"$line" | tr -d ,)" \
				"${line#* # SKIP }"
			;;
		"ok $2: "*) pass "${line#ok }" ;;
		"not ok $2: "*) fail "${line#not ok }" "${details[@]}" ;;
		ready) ;;
		*)
			details+=("$line")
			continue
			;;
		esac
		details=()
	done <"$1"
	[ ${#details[@]} -eq 0 ] || printf '#   %s\n' "${details[@]}"
}

# With few descriptors and small files, as an administrator's limits have it.
create_limited()
(
	ulimit -f 131072 # in units of 1024 bytes
	ulimit -n 2048
	nacre create --bundle "$work/$1" "$tag-$1"
)

# hostile NAME TITLE LETTERS FILTER: a guest, with what LETTERS tell it of what
# FILTER configures.
hostile()
{
	local name=$1 params host

	params="hugepages=16 HOSTILE_PATH=$tag-$name/rootfs"
	params+=" HOSTILE_MEMORY=$memory HOSTILE_WITH=$3 HOSTILE_SEED=$seed"
	params+=" HOSTILE_SECONDS=$seconds HOSTILE_TITLE=$name"
	params+=" ${NACRE_ONLY:+HOSTILE_ONLY=$NACRE_ONLY}"
	configure ".initrd = \"$programs/hostile-guest.img\" |
		.kernel_params = \"$params\" |
		.virtio_fs_request_queues = 3 | $4"
	bundle "$name"
	make_share "$name"
	"$programs/hostile-host" "$state/$tag-$name/vsock/vsock.sock" \
		"$limit" nacre-sandbox "$work/$name/rootfs" \
		"$work/$name/outside" >"$work/$name.lines" 2>&1 &
	host=$!
	await grep -qx ready "$work/$name.lines"
	try create_limited "$name"
	wait "$host"
	is "$2: the guest came to its end, and all was as it should be" $? 0
	shown "$work/$name.lines" "$name"
	is "$2: no container comes of it" "$status" 1
	like "$2: nothing but the guest ended it" "$err" \
		'the guest powered off|connection to the agent lost'
	succeeds "$2: delete --force" nacre delete --force "$tag-$name"
	unmake_share "$name"
	clean "$2: nothing is left"
}

if [ "$machine" != kvm ]; then
	skip 'a guest with a hostile driver' \
		"the $machine machine's devices are none that a guest can take"
	exit 0
fi
remember
hostile vcpus 'files on vCPUs, DAX' DL \
	'.virtio_fs_cache_size = 8 | .default_vcpus = 2'
hostile handles 'files on workers, file handles' HL \
	'.virtio_fs_on_vcpus = false | .virtio_fs_inode_file_handles = "prefer"'
