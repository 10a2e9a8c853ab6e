#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The keys of the configuration that decide how files are served, each in a guest:
# writeback, file handles, queues.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

volume='.mounts += [{destination: "/data", type: "bind",
	source: ($work + "/data"), options: ["rbind"]}]'
# Files for file handles, of which one sandbox may have so many open.
many=20000 most=2000
[ -z "$small" ] || many=2500
# CAP_DAC_READ_SEARCH
search=$((1 << 2))

# served NAME FILTER: container NAME with a volume, the configuration changed.
served()
{
	configure "$2"
	bundle "$1" "$volume"
	up "$1"
}

over()
{
	succeeds 'delete by force' nacre delete --force "$tag-$1"
}

# has_search NAME: whether a thread of its sandbox process has the capability.
has_search()
{
	local caps had=no

	while read -r _ caps; do
		[ $((0x$caps & search)) -eq 0 ] || had=yes
	done < <(cat "/proc/$(sandbox_of "$1")"/task/*/status |
		grep '^CapPrm:')
	echo $had
}

descriptors()
{
	find "/proc/$(sandbox_of "$1")/fd" -mindepth 1 | wc -l
}

# refused FILTER ERROR
refused()
{
	configure "$1"
	refuses "${1#.}" "$2" nacre create --bundle "$work/data" "$tag-r"
}

mistakes()
{
	bundle data
	refused '.virtio_fs_request_queues = 5' \
		'virtio_fs_request_queues: 5 is not in the range from 1 to 4'
	refused '.virtio_fs_writeback = 1' \
		'virtio_fs_writeback: expected true or false'
	refused '.virtio_fs_inode_file_handles = "some"' \
		'handles: "some": expected one of never, prefer, mandatory'
	refused '.virtio_fs_writeback = true | .virtio_fs_cache = "never"' \
		'virtio_fs_writeback: does not go with virtio_fs_cache "never"'
	refused '.virtio_fs_writeback = true | .virtio_fs_cache = "metadata"' \
		'does not go with virtio_fs_cache "metadata"'
	rm -rf "$work/data"
}

# A process of container $1 writes to /data/$2 and keeps it open. Without a copy of
# the descriptor, and nobody reads it: whenever one is closed, what was written
# goes to the host.
holds()
{
	guest_is "container $1 writes to a file" "$1" "rm -f /go /wrote
		mkfifo /go
		sh -c 'exec >/data/$2; echo some text; : 5>/wrote
			read x </go' &
		while [ ! -e /wrote ]; do sleep 0.1; done
		stat -c %s /data/$2" 10
}

# Writes that nobody asked for yet are seen by the guest alone.
writeback()
{
	holds w one
	is 'writeback: the host does not see it' "$(cat "$work/data/one")" ''
	guest_ok 'the guest syncs' w 'sync; echo >/go'
	is 'then it does' "$(cat "$work/data/one")" 'some text'
	guest_ok 'many small writes' w 'i=0; while [ $i -lt 300 ]; do
		echo $i; i=$((i + 1)); done >/data/lines'
	is 'all there once the file is closed' "$(md5sum <"$work/data/lines")" \
		"$(seq 0 299 | md5sum)"
}

queues()
{
	[ "$machine" != kvm ] || guest_is 'queues: each has an interrupt' w \
		'grep -c "virtio[0-9]*-requests" /proc/interrupts' 4
	guest_ok 'several at once' w 'for i in 1 2 3 4; do
		dd if=/dev/zero of=/data/q$i bs=64k count=16 2>/dev/null &
		done; wait; rm /data/q?'
}

# tar -k creates with O_EXCL, and does not look before. The guest does not know
# yet what the host made.
exclusive()
{
	local x=$work/data/x e="tar: can't open"

	mkdir -p "$x/dir" "$x/theirs"
	echo host | tee "$x/file" >"$x/theirs/file"
	ln -s nowhere "$x/link"
	guest_is 'what is there is not created' w 'cd /tmp
		for n in file dir link none; do
			echo guest >$n; tar cf $n.tar $n; done
		cd /data/x
		for n in file dir link none; do tar xkf /tmp/$n.tar; done 2>&1
		cat file none; ls' "$e 'file': File exists
$e 'dir': File exists
$e 'link': File exists
host
guest
dir
file
link
none
theirs"
	guest_is 'nor where one may not' w 'su user -c "cd /data/x/theirs
		for n in file none; do tar xkf /tmp/\$n.tar; done 2>&1; ls"' \
		"$e 'file': File exists
$e 'none': Permission denied
file"
	is 'the host has what was created' "$(cat "$x/none")" guest
	rm -r "$x"
}

none_of_it()
{
	served w .
	holds w two
	is 'without: the host sees it at once' "$(cat "$work/data/two")" \
		'some text'
	is 'no capability for file handles' "$(has_search w)" no
	over w
}

# A tmpfs, and an overlayfs of several file systems, which tells their inodes apart
# by the upper bits of their numbers, and has no file handles.
mounts_begin()
{
	local below=$work/data/below
	local options=upperdir=$below/upper,workdir=$below/work

	mkdir -p "$below" "$work/data/over" "$work/lower"
	echo text >"$work/lower/file"
	mount -t tmpfs tmpfs "$below" && mkdir "$below"/{upper,work} &&
		echo below >"$below/file" &&
		mount -t overlay overlay "$work/data/over" -o \
			"xino=on,lowerdir=$work/lower,$options" || bail
}

# submounts NAME: of its volume, what is mounted below it.
submounts()
{
	local big

	guest_is 'mounts below a volume are devices of their own' "$1" \
		'for d in /data /data/below /data/over; do
			stat -c %d $d/.; done | sort -u | wc -l' 3
	big=$(stat -c %i "$work/data/over/file")
	is 'the host has inodes of more than 32 bits' $((big >> 32 != 0)) 1
	guest_is 'so has the guest' "$1" 'stat -c %i /data/over/file' "$big"
}

many_files()
{
	is 'handles: the capability that opens them' "$(has_search h)" yes
	guest_is "a guest knows $many files" h \
		'ls -l /data/many | tail -n +2 | wc -l' "$many"
	if [ "$(descriptors h)" -lt 200 ]; then
		pass "which are not $many descriptors"
	else
		fail "which are not $many descriptors" "$(descriptors h)"
	fi
	guest_is 'and reads and writes them' h 'cd /data/many
		echo text >7; mv 7 x; cat x; cat /data/below/file
		ln x 7; rm x; cat 7' $'text\nbelow\ntext'
	guest_is 'as another user' h 'echo mine >/data/mine
		chmod 600 /data/mine; chown 1000:1001 /data/mine
		su user -c "cat /data/mine; echo 2>/dev/null >/data/no || echo no"' \
		$'mine\nno'
}

# By pieces of 1 MiB, and by smaller ones, which are in the guest's cache as well.
large_writes()
{
	[ "$machine" = kvm ] && [ "$kernel" = tuned ] || return
	head -c 16M /dev/urandom >"$work/data/source"
	guest_is 'what is written in large pieces leaves no pages' "$1" '
		cached() { set -- $(grep ^Cached: /proc/meminfo); echo $2; }
		for size in 1024 64; do
			before=$(cached)
			dd if=/dev/zero of=/data/large bs=${size}k \
				count=$((16384 / size)) 2>/dev/null
			echo $((($(cached) - before) / 1024 > 8))
		done' '0
1'
	guest_ok 'nor those that were there' "$1" '
		dd if=/data/source of=/data/large bs=1M conv=notrunc 2>/dev/null
		cmp /data/source /data/large'
	succeeds 'the host has it' cmp "$work/data/source" "$work/data/large"
}

remember
[ -n "$small" ] || mistakes
mkdir -p "$work/data/many"
served w '.virtio_fs_writeback = true | .virtio_fs_request_queues = 4 |
	.virtio_fs_workers = 2'
writeback
queues
exclusive
over w
[ -n "$small" ] || none_of_it
mounts_begin
(cd "$work/data/many" && seq "$many" | xargs touch)
prlimit --nofile=$most:$most --pid $$
served h '.virtio_fs_inode_file_handles = "prefer"'
many_files
large_writes h
submounts h
over h
succeeds 'nothing holds what was mounted' \
	umount "$work/data/over" "$work/data/below"
if [ -z "$small" ]; then
	served h '.virtio_fs_inode_file_handles = "mandatory"'
	guest_is 'handles alone: a guest knows some files' h \
		'ls -l /data/many/1?? | wc -l' 100
	over h
fi
rm -r "$work/data/many"
clean 'nothing is left'
