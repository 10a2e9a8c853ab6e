#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the host changes in volumes raises events for programs in guests that
# watch them by inotify(7).

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# volume SOURCE DESTINATION [OPTION]: a filter for bundle.
volume()
{
	printf '.mounts += [{destination: "%s", type: "bind",
		source: ($work + "/%s"), options: ["rbind", "%s"]}]' \
		"$2" "$1" "${3-rw}"
}

# watcher NAME FILTER PATH...: a container that says what it hears of PATHs.
watcher()
{
	local name=$1 filter=$2

	shift 2
	bundle "$name" "$filter" /bin/inotify "$@"
	cp "$release/integration/e2e/inotify" "$work/$name/rootfs/bin"
	up "$name"
	await grep -q '^ready$' "$work/$name.out" || bail
	on=$name heard=1
}

# hears DESCRIPTION LINE...: of the last watcher, since it was asked last. With
# `names` set, without what is in the files.
names=
hears()
{
	local what=$1 end=$((SECONDS + limit)) got wanted

	shift
	wanted=$(printf '%s\n' "$@")
	until got=$(tail -n "+$((heard + 1))" "$work/$on.out" |
		sed "${names:+s/ = .*//}") && [ "$got" = "$wanted" ]; do
		# Nothing more would make it right.
		if [ "$SECONDS" -ge "$end" ] ||
			[ "${#got}" -gt "${#wanted}" ]; then
			fail "$what" 'got:' "$got" 'wanted:' "$wanted"
			break
		fi
		sleep 0.02
	done
	heard=$(wc -l <"$work/$on.out")
	[ "$got" != "$wanted" ] || pass "$what"
}

# watches NAME: how many directories and files its sandbox process watches.
watches()
{
	cat "/proc/$(sandbox_of "$1")/fdinfo/"* 2>/dev/null |
		grep -c '^fanotify ino:'
}

has_watches()
{
	[ "$(watches "$1")" -eq "$2" ]
}

# attributes FILE: without the time of its last rename.
attributes()
{
	stat -c '%i %s %Y %a %u %g %h' "$1"
	md5sum <"$1"
}

# overwrite FILE TEXT: of the same length.
overwrite()
{
	echo "$2" | dd of="$1" conv=notrunc 2>/dev/null
}

files()
{
	local v=$work/vol before

	echo text >"$v/a"
	hears 'a file is made' '/v CREATE a' '/v MODIFY a = text' \
		'/v CLOSE_WRITE a = text'
	overwrite "$v/a" more
	hears 'it is written again' '/v MODIFY a = more' \
		'/v CLOSE_WRITE a = more'
	chmod 600 "$v/a"
	hears 'its mode changes' '/v ATTRIB a'
	before=$(attributes "$v/a")
	mv "$v/a" "$v/b"
	hears 'it is renamed' '/v MOVED_FROM a' '/v MOVED_TO b = more'
	mv "$v/b" "$work/aside"
	hears 'it is moved away' '/v DELETE b'
	mv "$work/aside" "$v/c"
	hears 'and back' '/v CREATE c' '/v CLOSE_WRITE c = more'
	is 'nothing of this was done to the file' "$(attributes "$v/c")" \
		"$before"
	is 'nor beside it' "$(ls -A "$v" | tr '\n' ' ')" 'c kept '
	rm "$v/c"
	hears 'it is removed' '/v DELETE c'
	ln -s kept "$v/link"
	hears 'a link is made' '/v CREATE link'
	rm "$v/link"
	hears 'and removed' '/v DELETE link'
	overwrite "$v/kept" anew
	hears 'who has a file open reads what is new' '/v MODIFY kept = anew' \
		'/v/kept MODIFY' '/v CLOSE_WRITE kept = anew' '/v/kept CLOSE_WRITE'
}

directories()
{
	local v=$work/vol

	mkdir "$v/d"
	hears 'a directory is made' '/v CREATE/ d'
	echo text >"$v/d/f"
	hears 'it is watched from then on' '/v/d CREATE f' \
		'/v/d MODIFY f = text' '/v/d CLOSE_WRITE f = text'
	mv "$v/d" "$v/e"
	hears 'it is renamed' '/v MOVED_FROM/ d' '/v MOVED_TO/ e'
	rm -r "$v/e"
	hears 'it is removed with what is in it' '/v/e DELETE f' \
		'/v DELETE/ e' '/v/e DELETE_SELF' '/v/e IGNORED'
	chmod 700 "$v"
	hears 'the mode of the volume itself changes' '/v ATTRIB/'
}

many()
{
	local v=$work/vol count=150 wanted

	[ -z "$small" ] || count=50
	for ((i = 0; i < count; i++)); do
		: >"$v/many$i"
	done
	wanted=$(for ((i = 0; i < count; i++)); do
		echo "/v CREATE many$i"
	done | sort)
	all_there()
	{
		[ "$(grep '^/v CREATE many' "$work/one.out" | sort)" = "$wanted" ]
	}
	happens "$count files are made at once" all_there
	rm "$v"/many*
	all_gone()
	{
		[ "$(grep -c '^/v DELETE many' "$work/one.out")" -eq $count ]
	}
	happens 'and removed' all_gone
	heard=$(wc -l <"$work/one.out")
}

# Its own changes reach a guest once.
guests_own()
{
	guest_ok 'a guest changes files itself' one 'echo x >/v/own
		mv /v/own /v/owned; rm /v/owned; mkdir /v/dir'
	names=y hears 'it hears of it once' '/v CREATE own' '/v MODIFY own' \
		'/v CLOSE_WRITE own' '/v MOVED_FROM own' '/v MOVED_TO owned' \
		'/v DELETE owned' '/v CREATE/ dir'
	# From when it is watched on: before, it could be the guest's.
	happens 'what it made is watched, too' has_watches one 2
	echo text >"$work/vol/dir/f"
	hears 'the host writes in what the guest made' '/v/dir CREATE f' \
		'/v/dir MODIFY f = text' '/v/dir CLOSE_WRITE f = text'
	rm -r "$work/vol/dir"
	hears 'and removes it' '/v/dir DELETE f' '/v DELETE/ dir' \
		'/v/dir DELETE_SELF' '/v/dir IGNORED'
}

# data NUMBER TEXT: as Kubernetes' kubelet writes a volume.
data()
{
	mkdir "$volume/..$1"
	echo "$2" >"$volume/..$1/key"
	ln -s "..$1" "$volume/..data_tmp"
	mv -T "$volume/..data_tmp" "$volume/..data"
	[ -z "${3-}" ] || rm -r "$volume/..$3"
}

# Read-only in the guest, and none of its names known to it for long.
kubernetes()
{
	local volume=$work/volumes/kubernetes.io~configmap/name

	mkdir -p "$volume" "$work/other"
	data 1 old
	ln -s ..data/key "$volume/key"
	# What the agent says is in the log.
	configure '.virtio_fs_cache = "never" | .enable_debug = true'
	watcher two "$(volume volumes/kubernetes.io~configmap/name /v ro) |
		$(volume other /w)" /bin/busybox /v /v/key
	happens 'what Kubernetes writes is watched by default' has_watches two 2
	guest_ok 'an ordinary volume' two 'ls /w'
	is 'nothing else is' "$(watches two)" 2
	: >"$work/other/silent"
	data 2 new 1
	deleted()
	{
		grep -q '^/v DELETE/ ..1$' "$work/two.out"
	}
	happens 'a ConfigMap changes: the old directory goes' deleted
	is 'the link is replaced' "$(grep '\.\.data' "$work/two.out")" \
		'/v CREATE ..data_tmp
/v MOVED_FROM ..data_tmp
/v MOVED_TO ..data = new'
	key_gone()
	{
		[ "$(grep '^/v/key' "$work/two.out" | tr '\n' ' ')" = \
			'/v/key ATTRIB /v/key DELETE_SELF /v/key IGNORED ' ]
	}
	happens 'a file that is watched itself goes' key_gone
	guest_is 'the guest reads what is new' two 'cat /v/key' new
	is 'no event failed' "$(grep -c 'file event' "$log")" 0
	succeeds 'the container goes' nacre delete --force "$tag-two"
}

# Mounted by itself: its events are without a name, and it stays the one file.
mounted_file()
{
	local dir=$work/single before

	mkdir "$dir"
	echo text >"$dir/f"
	configure '.file_events = "all"'
	watcher file "$(volume single/f /f)" /f /f
	happens 'a file that is mounted is watched' has_watches file 1
	overwrite "$dir/f" more
	hears 'it is written' '/f MODIFY' '/f CLOSE_WRITE'
	guest_is 'the guest reads what is new' file 'cat /f' more
	chmod 600 "$dir/f"
	hears 'its mode changes' '/f ATTRIB'
	before=$(attributes "$dir/f")
	ln "$dir/f" "$dir/link"
	hears 'it has another name' '/f ATTRIB'
	rm "$dir/link"
	hears 'it loses it' '/f ATTRIB'
	is 'nothing of this was done to the file' "$(attributes "$dir/f")" \
		"$before"
	guest_ok 'a guest writes it itself' file 'echo own >>/f'
	hears 'it hears of it once' '/f MODIFY' '/f CLOSE_WRITE'
	echo other >"$dir/g"
	mv "$dir/g" "$dir/f"
	hears 'the host has another one in its place' '/f ATTRIB'
	echo >>"$dir/f"
	guest_is 'the guest keeps what was mounted' file 'cat /f' 'more
own'
	succeeds 'the container goes' nacre delete --force "$tag-file"
	is 'of what was not mounted, it heard nothing' \
		"$(tail -n "+$((heard + 1))" "$work/file.out")" ''
}

# A key of a ConfigMap, read-only, and a file that is no volume of Kubernetes'.
kubernetes_file()
{
	local volume=$work/volumes/kubernetes.io~configmap/keys

	mkdir -p "$volume"
	echo old >"$volume/key"
	echo old >"$work/other/file"
	# What the agent says is in the log.
	configure '.virtio_fs_cache = "never" | .enable_debug = true'
	watcher key "$(volume volumes/kubernetes.io~configmap/keys/key /k ro) |
		$(volume other/file /w)" /bin/busybox /k /w
	happens 'a file that Kubernetes writes is watched' has_watches key 1
	overwrite "$work/other/file" new
	overwrite "$volume/key" new
	hears 'it is written' '/k MODIFY' '/k CLOSE_WRITE'
	guest_is 'the guest reads what is new' key 'cat /k /w' 'new
new'
	rm "$volume/key"
	hears 'it goes' '/k ATTRIB'
	is 'no event failed' "$(grep -c 'file event' "$log")" 0
	succeeds 'the container goes' nacre delete --force "$tag-key"
}

# Of a pod's containers, with what is left when one of them goes.
pod()
{
	local key=io.kubernetes.cri.container-type
	local sandbox=io.kubernetes.cri.sandbox-id

	configure '.file_events = "all" | .file_events_limit = 3'
	bundle pod ".annotations = {\"$key\": \"sandbox\"}"
	up pod
	mkdir -p "$work/deep/1/2/3/4"
	watcher one ".annotations = {\"$key\": \"container\",
		\"$sandbox\": \"$tag-pod\"} | $(volume deep /v)" /bin/busybox /v
	happens 'as many directories are watched as may be' has_watches pod 3
	: >"$work/deep/f"
	hears 'and heard of' '/v CREATE f' '/v CLOSE_WRITE f = '
	happens 'the log says of the rest' \
		grep -q '3 directories and files are watched' "$log"
	succeeds 'the container goes' nacre delete --force "$tag-one"
	happens 'its directories are not watched any more' has_watches pod 0
	: >"$work/deep/g"
	configure '.file_events = "none"'
	succeeds 'the pod goes' nacre delete --force "$tag-pod"
}

remember
mkdir "$work/vol"
echo text >"$work/vol/kept"
configure '.file_events = "all"'
watcher one "$(volume vol /v)" /v/kept /v /v/kept
files
directories
many
guests_own
succeeds 'the container goes' nacre delete --force "$tag-one"
kubernetes
mounted_file
kubernetes_file
pod
clean 'nothing is left'
