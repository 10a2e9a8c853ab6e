# SPDX-License-Identifier: Apache-2.0
#
# For scripts: a machine of QEMU's that has a virtio-fs over vhost-user and
# runs commands for them. They set kernel and guest, the image with `shell`.
# In the working directory: input, output, monitor.in and .out (FIFOs), console,
# qemu.log.

# machine_start SOCKET [MIB]: waits until the guest takes commands. The kernel
# has no clock to measure the TSC by, and QEMU's runs as this machine's does.
machine_start()
{
	khz=$(awk '/^cpu MHz/ { printf "%d", $4 * 1000; exit }' /proc/cpuinfo)
	memory=${2-256}
	rm -f input output monitor.in monitor.out
	mkfifo input output monitor.in monitor.out
	# shellcheck disable=SC2154
	timeout "${machine_limit-300}" qemu-system-x86_64 -nodefaults \
		-no-user-config -no-reboot -display none \
		-accel tcg -cpu max,la57=off -smp 1 -m "$memory" \
		-machine microvm,pcie=on,memory-backend=ram,rtc=off,pit=off \
		-object "memory-backend-memfd,id=ram,share=on,size=${memory}M" \
		-kernel "$kernel" -initrd "$guest" -append \
		"console=ttyS0 quiet panic=-1 tsc=reliable tsc_early_khz=$khz" \
		-chardev pipe,id=monitor,path=monitor -mon chardev=monitor \
		-chardev stdio,id=console,signal=off -serial chardev:console \
		-chardev "socket,id=fs,path=$1" \
		-device vhost-user-fs-pci,chardev=fs,tag=shared \
		<input >output 2>>qemu.log &
	machine=$!
	exec 4>input 3<output
	answer_read >/dev/null
}

# What the guest says up to its status, which is ours.
answer_read()
{
	while IFS= read -r -t "${answer_limit-150}" line <&3; do
		line=${line%?} # carriage return
		echo "$line" >>console
		case $line in
		'status: '*) return "${line#status: }" ;;
		esac
		echo "$line"
	done
	echo 'the machine does not answer'
	return 255
}

# One line, for a shell.
in_guest()
{
	echo "$*" >&4
	answer_read
}

# machine_monitor COMMAND STATE: QEMU does it, and is in that state.
machine_monitor()
{
	local line

	printf '%s\ninfo status\n' "$1" >monitor.in
	while IFS= read -r -t 20 line; do
		case $line in
		*"VM status: $2"*) return ;;
		esac
	done <monitor.out
	return 1
}

# It powers off, whatever its file system is at.
machine_stop()
{
	echo 'poweroff -f' >&4
	cat <&3 >>console
	exec 4>&- 3<&-
	wait "$machine"
}

machine_kill()
{
	kill -KILL "$machine"
	exec 4>&- 3<&-
	wait "$machine" 2>/dev/null
}
