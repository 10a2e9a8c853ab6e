#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The root file system and all that is mounted into it, seen from both sides.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# host_is DESCRIPTION FORMAT-OF-STAT PATH-IN-ROOTFS WANTED
host_is()
{
	is "$1" "$(stat -c "$2" "$work/rw/rootfs/$3" 2>&1)" "$4"
}

kinds()
{
	guest_ok 'files of each kind' rw 'set -e; mkdir /d; cd /d
		echo content >file; ln -s file soft; ln file hard
		mkfifo fifo; mkdir sub
		chmod 1777 sub
		chown 1234:5678 file; chown -h 77:88 soft; chmod 4751 file
		touch -d "2001-02-03 04:05:06" fifo'
	is 'content' "$(cat "$work/rw/rootfs/d/hard")" content
	host_is 'mode' %a d/file 4751
	host_is 'owner and group' %u:%g d/file 1234:5678
	host_is 'owner of a symbolic link' %u:%g:%F d/soft \
		'77:88:symbolic link'
	is 'target of a symbolic link' \
		"$(readlink "$work/rw/rootfs/d/soft")" file
	host_is 'links' %h d/hard 2
	host_is 'named pipe' '%F %y' d/fifo \
		"fifo $(date -d '2001-02-03 04:05:06 UTC' \
			'+%F %T.000000000 %z')"
	host_is 'sticky directory' %a:%F d/sub 1777:directory
	guest_is 'the guest sees the same' rw \
		'stat -c "%a %u:%g %h %F" /d/file' '4751 1234:5678 2 regular file'
	guest_is 'no device node gets to the host' rw \
		'mknod /d/null c 1 3 2>/dev/null || echo refused' refused
	guest_is 'but to a tmpfs of the guest' rw \
		'mknod /dev/shm/null c 1 3; stat -c %t:%T:%F /dev/shm/null' \
		'1:3:character special file'
}

changes()
{
	guest_is 'rename over a file' rw 'cd /d; echo new >n; mv n file
		cat file hard' $'new\ncontent'
	guest_is 'append' rw 'cd /d; echo more >>file; cat file' $'new\nmore'
	guest_is 'exclusive creation' rw \
		'cd /d; set -C; (echo x >file) 2>/dev/null || echo refused' refused
	guest_is 'truncate and sparse files' rw 'cd /d
		truncate -s 6000000000 big; printf x |
		dd of=big bs=1 seek=5999999999 conv=notrunc 2>/dev/null
		stat -c %s big; tail -c 1 big; echo; rm big' $'6000000000\nx'
	guest_is 'an open file outlives its name' rw 'cd /d; echo kept >gone
		exec 3<gone; rm gone; cat <&3' kept
	guest_is 'a directory of 500 entries' rw 'mkdir /m; cd /m
		seq 1 500 | xargs touch; ls | wc -l; rm -r /m; ls -d /m 2>&1 ||
		: ' $'500\nls: /m: No such file or directory'
	long=$(printf 'n%.0s' {1..255})
	guest_is 'names of 255 bytes' rw "cd /d; echo l >$long; cat $long" l
	guest_is 'and not of 256' rw "cd /d; (echo l >n$long) 2>&1 |
		grep -o 'name too long' -i" 'name too long'
	guest_is 'permissions hold' rw 'cd /d; echo s >secret; chmod 600 secret
		su user -c "cat /d/secret" 2>/dev/null || echo refused' refused
	guest_ok 'fsync' rw 'dd if=/dev/zero of=/d/z bs=64k count=16 conv=fsync'
	guest_ok 'df' rw 'df / | grep -q /'
	echo from-the-host >"$work/rw/rootfs/d/host"
	happens 'a new file of the host is seen' guest rw \
		'grep -qx from-the-host /d/host'
	echo changed-there >"$work/rw/rootfs/d/host"
	happens 'a change by the host is seen' guest rw \
		'grep -qx changed-there /d/host'
	rm "$work/rw/rootfs/d/host"
	happens 'a removal by the host is seen' guest rw 'test ! -e /d/host'
}

# Programs of other suites, which know far more than a shell.
programs()
{
	local program

	for program in conform fsx; do
		[ -x "$release/integration/virtiofs/$program" ] || continue
		cp "$release/integration/virtiofs/$program" \
			"$work/rw/rootfs/bin"
	done
	if [ -x "$work/rw/rootfs/bin/fsx" ]; then
		guest_ok 'random reads, writes, truncates and mmap agree' rw \
			"cd /d && /bin/fsx -t 5 /d/fsx"
	fi
	# shellcheck disable=SC2016
	"$python" -c 'import os, sys
os.setxattr(sys.argv[1], "user.e2e", b"value")' "$work/rw/rootfs/d/file" \
		2>/dev/null || {
		skip 'extended attributes' 'the host has none here'
		return
	}
	guest_ok 'a file with extended attributes is copied' rw \
		'cp -p /d/file /d/copy && cmp /d/file /d/copy'
}

volumes()
{
	echo host-dir >"$work/vol/text"
	guest_is 'volume: the host'\''s file is there' rw 'cat /vol/text' host-dir
	guest_ok 'volume: the guest writes' rw 'echo guest >/vol/guest'
	is 'volume: the host sees it' "$(cat "$work/vol/guest")" guest
	guest_is 'read-only volume: it is read' rw 'cat /vol-ro/text' host-dir
	guest_is 'read-only volume: it is not written' rw \
		'(echo x >/vol-ro/x) 2>&1 | grep -o "Read-only file system"' \
		'Read-only file system'
	guest_ok 'file volume: the guest writes' rw 'echo g >/etc/rw-file'
	is 'file volume: the host sees it' "$(cat "$work/rw-file")" g
	guest_is 'resolv.conf of the host'\''s choice' rw \
		'cat /etc/resolv.conf' 'nameserver 192.0.2.53'
	guest_is 'hosts of the host'\''s choice' rw 'cat /etc/hosts' \
		'192.0.2.1 one'
	guest_is 'a read-only file is not written' rw \
		'(echo x >/etc/hosts) 2>&1 | grep -o "Read-only file system"' \
		'Read-only file system'
	guest_is 'tmpfs: with its options' rw \
		'grep " /scratch " /proc/mounts | cut -d " " -f 3,4 |
			grep -o "tmpfs\|noexec\|size=4096k" | sort -u' \
		$'noexec\nsize=4096k\ntmpfs'
	guest_ok 'tmpfs: the guest writes' rw 'echo t >/scratch/t'
	[ ! -e "$work/rw/rootfs/scratch/t" ] &&
		pass 'tmpfs: it is the guest'\''s alone' ||
		fail 'tmpfs: it is the guest'\''s alone'
}

system()
{
	guest_is 'host name' rw hostname e2e-host
	guest_is 'devices' rw 'for d in null zero full random urandom tty; do
		test -c /dev/$d || echo no $d; done
		test -e /dev/ptmx || echo no ptmx
		for l in fd stdin stdout stderr; do
			test -L /dev/$l || echo no $l; done' ''
	guest_is 'they work' rw 'head -c 4 /dev/zero | wc -c
		(echo x >/dev/full) 2>&1 | grep -o "No space left on device"
		echo x >/dev/null' $'4\nNo space left on device'
	guest_is '/dev/shm is for all' rw 'stat -c %a /dev/shm' 1777
	guest_is 'the command is process 1' rw \
		"tr '\\0' ' ' </proc/1/cmdline" 'sleep 100000 '
	guest_is 'masked files are empty' rw 'head -c 1 /proc/kcore 2>/dev/null |
		wc -c; find /proc/scsi /sys/firmware -mindepth 1 2>/dev/null |
		wc -l' $'0\n0'
	guest_is 'read-only paths are not written' rw \
		'(echo 1 >/proc/sys/vm/drop_caches) 2>&1 |
		grep -o "Read-only file system"' 'Read-only file system'
	guest_is '/sys is read-only' rw \
		'awk "\$2 == \"/sys\" { print substr(\$4, 1, 2) }" /proc/mounts' ro
	guest_is 'the root is virtio-fs' rw \
		'awk "\$2 == \"/\" { print \$3 }" /proc/mounts' virtiofs
	guest_is 'it is read ahead by as much as a request holds' rw \
		'cat /sys/class/bdi/*/read_ahead_kb | grep -c 1024' 1
	[ "$(guest rw 'uname -r')" != "$(uname -r)" ] &&
		pass 'the kernel is the guest'\''s' ||
		fail 'the kernel is the guest'\''s' "$(uname -r)"
}

# Owners of files on the host by other numbers in the guest.
mapped()
{
	guest_is 'id-mapped: what is root'"'"'s on the host' rw \
		'stat -c %u:%g /mapped/file' 1000:1000
	guest_is 'id-mapped: a file made in the guest' rw \
		'su user -c "echo x >/mapped/new"; stat -c %u:%g /mapped/new' \
		1000:1001
	is 'id-mapped: is the other one'"'"'s on the host' \
		"$(stat -c %u:%g "$work/mapped/new")" 0:1
	guest_is 'id-mapped: nobody else makes any' rw \
		'(echo x >/mapped/root) 2>&1 | grep -o "Value too large"' \
		'Value too large'
	is 'id-mapped: callers are told' "$("$NACRE" features |
		jq .linux.mountExtensions.idmap.enabled)" true
	bundle unmapped '.mounts += [{destination: "/mapped", type: "bind",
		source: ($work + "/mapped"), options: ["bind", "idmap"]}]'
	refuses 'id-mapped: without a mapping' '/mapped.*id mapping' \
		create unmapped
	bundle unmapped '.mounts += [{destination: "/mapped", type: "tmpfs",
		uidMappings: [{containerID: 0, hostID: 1, size: 1}],
		gidMappings: [{containerID: 0, hostID: 1, size: 1}]}]'
	refuses 'id-mapped: a tmpfs, where the kernel has none' \
		'/mapped: id mapping: Linux .* has none for tmpfs' create unmapped
}

read_only()
{
	guest_is 'read-only root: not written' ro \
		'(echo x >/x) 2>&1 | grep -o "Read-only file system"' \
		'Read-only file system'
	guest_is 'read-only root: a guest that makes it writable does not' ro \
		'mount -o remount,bind,rw / && (echo x >/x) 2>&1 |
			grep -o "Read-only file system"' \
		'Read-only file system'
	guest_is 'read-only root: nor can it remove, rename or chmod' ro \
		'rm -r /var 2>/dev/null || mv /var /x 2>/dev/null ||
			chmod 700 /var 2>/dev/null || echo refused' refused
	guest_is 'read-only root: a tmpfs in it is written' ro \
		'echo x >/tmp/x; cat /tmp/x' x
	guest_is 'read-only root: a mount point that was missing' ro \
		'echo x >/missing/here/x; cat /missing/here/x' x
	guest_is 'read-only root: one of a file, by a link' ro \
		'cat /link/file; echo x >/link/file; cat /target/deep/file' \
		$'file\nx'
	is 'read-only root: none is made where another mount lies' \
		"$(ls -A "$work/ro/rootfs/tmp")" ''
	guest_is 'tmpcopyup: what was below is there' ro \
		'grep -c . /etc/passwd; stat -c "%a %u:%g" /etc/conf.d
		readlink /etc/link; cat /etc/conf.d/text' \
		$'2\n750 12:34\nnowhere\ntext'
	guest_is 'tmpcopyup: and can be changed' ro \
		'echo more >>/etc/passwd; grep -c . /etc/passwd' 3
	is 'tmpcopyup: without the host' \
		"$(grep -c . "$work/ro/rootfs/etc/passwd")" 2
	[ ! -e "$work/ro/rootfs/x" ] && pass 'read-only root: nothing came' ||
		fail 'read-only root: nothing came'
}

mkdir "$work/vol" "$work/mapped"
: >"$work/mapped/file"
chmod 777 "$work/mapped"
echo 'nameserver 192.0.2.53' >"$work/resolv.conf"
echo '192.0.2.1 one' >"$work/hosts"
: >"$work/rw-file"
# shellcheck disable=SC2016
bundle rw '.hostname = "e2e-host" |
	.process.capabilities |= map_values(. + ["CAP_MKNOD", "CAP_CHOWN",
		"CAP_FOWNER", "CAP_FSETID", "CAP_DAC_OVERRIDE", "CAP_SETUID",
		"CAP_SETGID"] | unique) | .mounts += [
	{destination: "/vol", type: "bind", source: ($work + "/vol"),
	 options: ["rbind", "rw"]},
	{destination: "/vol-ro", type: "bind", source: ($work + "/vol"),
	 options: ["bind", "ro"]},
	{destination: "/etc/rw-file", type: "bind",
	 source: ($work + "/rw-file"), options: ["bind"]},
	{destination: "/etc/resolv.conf", type: "bind",
	 source: ($work + "/resolv.conf"), options: ["bind", "rprivate"]},
	{destination: "/etc/hosts", type: "bind",
	 source: ($work + "/hosts"), options: ["bind", "ro"]},
	{destination: "/mapped", type: "bind", source: ($work + "/mapped"),
	 options: ["bind"],
	 uidMappings: [{containerID: 0, hostID: 1000, size: 10}],
	 gidMappings: [{containerID: 0, hostID: 1000, size: 10}]},
	{destination: "/scratch", type: "tmpfs", source: "tmpfs",
	 options: ["noexec", "nosuid", "size=4096k"]}]'
remember
up rw
kinds
changes
programs
volumes
system
mapped
succeeds 'delete --force' nacre delete --force "$tag-rw"
bundle ro '.root.readonly = true |
	.process.capabilities |= map_values(. + ["CAP_SYS_ADMIN"]) |
	.mounts += [
	{destination: "/tmp", type: "tmpfs", source: "tmpfs"},
	{destination: "/tmp/in/it", type: "tmpfs", source: "tmpfs"},
	{destination: "/link/file", type: "bind", source: ($work + "/file"),
	 options: ["bind"]},
	{destination: "/missing/here", type: "tmpfs", source: "tmpfs"},
	{destination: "/etc", type: "tmpfs", source: "tmpfs",
	 options: ["tmpcopyup"]}]'
echo file >"$work/file"
ln -s /target/deep "$work/ro/rootfs/link"
mkdir -m 750 "$work/ro/rootfs/etc/conf.d"
echo text >"$work/ro/rootfs/etc/conf.d/text"
chown 12:34 "$work/ro/rootfs/etc/conf.d"
ln -s nowhere "$work/ro/rootfs/etc/link"
up ro
read_only
succeeds 'delete --force' nacre delete --force "$tag-ro"
clean 'nothing is left'
