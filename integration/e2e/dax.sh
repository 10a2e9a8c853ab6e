#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The DAX window of virtio-fs: guests map the page cache of the host.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

volume='.mounts += [{destination: "/data", type: "bind",
	source: ($work + "/data"), options: ["bind"]}]'
# Of the window, and of the file that both guests map.
window=256
mib=200
# Of the layer that two root file systems have.
layer_mib=24

# large FILE MIB: the same piece again and again, each marked; random bytes are
# dear in the lab.
large()
{
	random piece 8
	for ((i = 0; i < $2; i += 8)); do
		printf '%08d' "$i"
		tail -c +9 "$work/data/piece"
	done >"$work/data/$1"
	rm "$work/data/piece"
	sync "$work/data/$1"
}

# random FILE MIB
random()
{
	dd if=/dev/urandom of="$work/data/$1" bs=1M count="$2" 2>/dev/null
	sync "$work/data/$1"
}

# Of mappings of the guest's memory, which have no path.
ram=' 00:00 0 *$'

# kilobytes NAME FIELD [PATH]: of the sandbox's mappings, of those of PATH.
kilobytes()
{
	awk -v field="$2:" -v path="${3-.}" '
		/^[0-9a-f]+-[0-9a-f]+ / { counts = $0 ~ path }
		counts && $1 == field { sum += $2 }
		END { print sum + 0 }' "/proc/$(sandbox_of "$1")/smaps"
}

# within DESCRIPTION NUMBER LEAST MOST
within()
{
	if [ "$2" -ge "$3" ] && [ "$2" -le "$4" ]; then
		pass "$1"
	else
		fail "$1" "got: $2, wanted: $3 to $4"
	fi
}

one_copy()
{
	local size=$((mib * 1024)) sum name ram_one ram_two cached before

	large big "$mib"
	sum=$("$release/integration/e2e/dax" sum "$work/data/big")
	# Not in memory, but for what the guests have of it.
	echo 1 >/proc/sys/vm/drop_caches
	before=$(awk '/^Cached:/ { print $2 }' /proc/meminfo)
	ram_one=$(kilobytes one Rss "$ram")
	ram_two=$(kilobytes two Rss "$ram")
	for name in one two; do
		guest_is "guest $name maps the file" $name \
			'/bin/dax sum /data/big' "$sum"
	done
	guest_is 'and reads what the file has there' two \
		'tail -c 2000000 /data/big | md5sum' \
		"$(tail -c 2000000 "$work/data/big" | md5sum)"
	cached=$(awk '/^Cached:/ { print $2 }' /proc/meminfo)
	echo "# a file of $size KiB: page cache $((cached - before)) KiB more," \
		"Pss $(kilobytes one Pss data/big) + $(kilobytes two Pss \
			data/big) KiB, guest RAM" \
		"$(($(kilobytes one Rss "$ram") - ram_one)) +" \
		"$(($(kilobytes two Rss "$ram") - ram_two)) KiB more"
	within 'guest one has all of it mapped' \
		"$(kilobytes one Rss data/big)" "$size" "$size"
	within 'guest two as well' \
		"$(kilobytes two Rss data/big)" "$size" "$size"
	within 'together they have one copy' \
		$(($(kilobytes one Pss data/big) + \
			$(kilobytes two Pss data/big))) \
		$((size - 64)) $((size + 64))
	within 'of which the host has no second one' $((cached - before)) \
		$((size * 9 / 10)) $((size * 3 / 2))
	within 'nor guest one, in its own memory' \
		$(($(kilobytes one Rss "$ram") - ram_one)) 0 $((size / 4))
	within 'nor guest two' \
		$(($(kilobytes two Rss "$ram") - ram_two)) 0 $((size / 4))
}

# Together with the one that fills most of the window.
small_window()
{
	local file

	for file in 1 2 3; do
		large "w$file" 24
	done
	guest_is 'more files than the window holds' one \
		'cat /data/w1 /data/w2 /data/w3 | md5sum' \
		"$(cat "$work"/data/w[123] | md5sum)"
	rm "$work"/data/w[123]
}

changes()
{
	random change 3
	random more 1
	cp "$work/data/change" "$work/data/wanted"
	"$release/integration/e2e/dax" change "$work/data/wanted"
	cat "$work/data/more" >>"$work/data/wanted"
	guest_ok 'a guest writes to a mapped file' one \
		'/bin/dax change /data/change'
	guest_ok 'and appends to it out of a mapping' one \
		'/bin/dax append /data/more /data/change'
	succeeds 'the host sees it all' \
		cmp "$work/data/change" "$work/data/wanted"
	guest_is 'so does the other guest' two \
		'cmp /data/change /data/wanted && echo same' same
}

cut_short()
{
	local read='Bad address'

	random short 4
	guest_is 'a guest holds a file' one 'cd /dev/shm; mkfifo go said
		/bin/dax hold /data/short <>go 1<>said 2>&1 &
		read -r line <said; echo "${line% *}"' held
	truncate -s 8192 "$work/data/short"
	# Without SMAP, nothing tells read(2) from what must not fail.
	grep -qw smap /proc/cpuinfo || read='nothing but zeros'
	guest_is "which is cut short: SIGBUS, and $read for read(2)" one \
		'cd /dev/shm; echo go >go; read -r line <said; echo "$line"' \
		"SIGBUS, read $read"
	# It may know the size of before for a second.
	happens 'and the guest lives' guest one \
		'[ $(wc -c </data/short) = 8192 ]'
	random short 4
	happens 'the file comes back' guest one \
		"[ \$(/bin/dax sum /data/short) = \
			$("$release/integration/e2e/dax" sum \
				"$work/data/short") ]"
}

mkdir "$work/data"
if [ "$machine" != kvm ]; then
	configure '.virtio_fs_cache_size = 64'
	bundle refused
	refuses 'there is none on the uml machine' \
		'virtio_fs_cache_size: the uml machine has no DAX' \
		nacre create --bundle "$work/refused" "$tag-refused"
	exit
fi

# overlay NAME: a bundle whose root file system is an overlayfs of its own on a
# layer that it shares.
overlay()
{
	local options=lowerdir=$work/layer,upperdir=$work/$1/upper

	bundle "$1"
	mv "$work/$1/rootfs" "$work/$1/upper"
	mkdir "$work/$1"/{work,rootfs}
	cp "$release/integration/e2e/dax" "$work/$1/upper/bin/dax"
	mount -t overlay overlay -o "$options,workdir=$work/$1/work" \
		"$work/$1/rootfs" || bail
}

# Two sandboxes on one layer of an image.
layer()
{
	local size=$((layer_mib * 1024)) name sum

	mkdir "$work/layer"
	large layered $layer_mib
	mv "$work/data/layered" "$work/layer"
	sum=$("$release/integration/e2e/dax" sum "$work/layer/layered")
	for name in three four; do
		overlay $name
		up $name
		guest_is "guest $name maps a file of the layer" $name \
			'/bin/dax sum /layered' "$sum"
	done
	within 'together they have one copy of the layer' \
		$(($(kilobytes three Pss layered) + \
			$(kilobytes four Pss layered))) \
		$((size - 64)) $((size + 64))
	guest_ok 'one of them writes to the file' three \
		'/bin/dax change /layered; cp /layered /mine'
	guest_is 'it reads what it wrote' three \
		'[ "$(/bin/dax sum /layered)" = "$(/bin/dax sum /mine)" ] &&
			echo same' same
	is 'which is not what the layer has' "$([ "$sum" = "$(
		"$release/integration/e2e/dax" sum "$work/three/rootfs/layered"
	)" ] && echo same)" ''
	guest_is 'the other one reads what the layer has' four \
		'/bin/dax sum /layered' "$sum"
	is 'and the layer is as it was' \
		"$("$release/integration/e2e/dax" sum \
			"$work/layer/layered")" "$sum"
	for name in three four; do
		succeeds "delete $name by force" nacre delete --force \
			"$tag-$name"
		umount "$work/$name/rootfs"
	done
}

configure ".virtio_fs_cache_size = $window"
for name in one two; do
	bundle $name "$volume"
	cp "$release/integration/e2e/dax" "$work/$name/rootfs/bin/dax"
	up $name
done
guest_is 'the share is mounted with DAX' one \
	'grep -c "^[^ ]* / virtiofs .*dax=inode" /proc/mounts' 1
one_copy
small_window
changes
cut_short
layer
