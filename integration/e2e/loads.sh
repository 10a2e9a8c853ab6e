#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Random I/O against a model (integration/virtiofs/fsx.c), with fio and stress-ng
# beside it (integration/virtiofs/load), in a container; on the kvm machine also
# over the DAX window. With NACRE_NIGHTLY in the environment, each takes half an
# hour.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

operations=10000 seconds=6 size=1m stressors=
# Files of 512 KiB and more are mapped. While it is one of those, it is written
# by copies between mappings as well.
length=$((2 << 20))
[ -z "$small" ] || operations=600 seconds=6 size=64k \
	stressors='dentry fallocate hdd rename seek xattr'
[ -z "${NACRE_NIGHTLY-}" ] || operations=1000000000 seconds=1800
# Those of fsx end with the others, if there are more.
[ -z "${NACRE_NIGHTLY-}" ] || time="-t $seconds"

# Programs with libraries, which are the host's.
with_programs='.mounts += [{destination: "/usr", type: "bind", source: "/usr",
		options: ["bind", "ro"]},
	{destination: "/data", type: "bind", source: ($work + "/data"),
		options: ["bind"]}] |
	.process.capabilities |= map_values(. + ["CAP_CHOWN",
		"CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD",
		"CAP_SETFCAP"] | unique)'

# Whether file NAME is in a window of the sandbox process.
mapped()
{
	grep -q "data/$1\$" "/proc/$(sandbox_of l)/maps"
}

# Before fsx begins: what it opens then is the same inode of the guest's, which
# has been told to be used by DAX and remains so.
mapped_first()
{
	guest_ok 'DAX: a file is read' l \
		'dd if=/data/one of=/dev/null bs=4k count=1'
	happens 'DAX: the sandbox process has it mapped' mapped one
}

# begin: all at the same time; their ends go to /status.
begin()
{
	local name root=$work/l/rootfs

	bundle l "$with_programs"
	mkdir "$root/usr"
	ln -s usr/lib usr/lib64 "$root"
	cp "$release/integration/virtiofs/fsx" \
		"$checkout/integration/virtiofs/load" "$root/bin" || bail
	for name in one two; do
		dd if=/dev/urandom of="$work/data/$name" bs=1M count=2 \
			2>/dev/null
		sync "$work/data/$name"
	done
	up l
	[ "$1" != DAX ] || mapped_first
	guest_ok "$1: two fsx, fio and stress-ng begin" l "
		(/bin/fsx -s 5 -l $length -n $operations ${time-} /data/one \
			>/one 2>&1 &
		one=\$!
		/bin/fsx -s 6 -n $operations ${time-} /data/two >/two 2>&1 &
		two=\$!
		/bin/load $seconds $size $stressors >/load.out 2>&1
		load=\$?
		wait \$one; one=\$?
		wait \$two; two=\$?
		echo fsx \$one \$two, load \$load >/status) >/dev/null 2>&1 &"
}

# ends WHAT: and all were content.
ends()
{
	local root=$work/l/rootfs limit=$((3 * limit + seconds))

	happens "$1: they end" test -s "$root/status"
	is "$1: without a difference" "$(cat "$root/status")" 'fsx 0 0, load 0'
	head -n 30 "$root"/{one,two,load.out} | sed 's/^/# /'
	succeeds 'delete by force' nacre delete --force "$tag-l"
}

if ! command -v fio >/dev/null || ! command -v stress-ng >/dev/null; then
	skip 'loads' 'fio or stress-ng is not installed'
	exit 0
fi
mkdir "$work/data"
memory=512
configure
begin 'page cache'
ends 'page cache'
[ "$machine" = kvm ] || exit 0
configure '.virtio_fs_cache_size = 64'
begin DAX
ends DAX
