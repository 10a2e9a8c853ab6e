# SPDX-License-Identifier: Apache-2.0
#
# For daemon: a machine that is paused, and one whose driver begins again.

# A guest that writes to a file all the while knows nothing of it.
paused()
{
	local said

	echo 'exec 7>/mnt/held; n=2; echo >&7; echo begun; ' \
		'until [ -e /mnt/enough ]; do n=$((n + 1)); echo >&7 || exit; ' \
		'done; echo >&7; echo $n' >&4
	read -r -t 20 said <&3
	for _ in 1 2 3; do
		check 'paused: it stands still' machine_monitor stop paused
		check 'paused: it goes on' machine_monitor cont running
	done
	touch tree/enough
	said=$(answer_read)
	check "paused: all is written: $said" test "$(wc -l <tree/held)" = "$said"
	# QEMU before 8.2 does not tell of it.
	check 'driver: another one begins again' in_guest \
		'cd /sys/bus/virtio/drivers/virtiofs; fs=$(echo virtio*); ' \
		'echo $fs >unbind; umount /mnt; echo $fs >bind; ' \
		'mount -t virtiofs shared /mnt && rm /mnt/held /mnt/enough'
}
