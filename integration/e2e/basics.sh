#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# One container with a bit of everything, for machines of many shapes: what
# each kernel, number of vCPUs and size of memory must do.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

console=$release/integration/e2e/console
ns=e2e

network()
{
	ip netns add $ns
	ip link add e2e0 type veth peer name eth0 netns $ns
	ip addr add 192.0.2.1/24 dev e2e0
	ip link set e2e0 up
	ip -n $ns link set eth0 up
	ip -n $ns addr add 192.0.2.2/24 dev eth0
	cleanup="ip netns del $ns; ip link del e2e0 2>/dev/null"
}

machine()
{
	guest_is "$vcpus vCPUs" b 'grep -c ^processor /proc/cpuinfo' "$vcpus"
	guest_ok "memory is near $memory MiB" b \
		'awk "/^MemTotal/ { exit !(\$2 > '$((memory * 600))' &&
			\$2 <= '$((memory * 1024))') }" /proc/meminfo'
	guest_is 'hostname' b hostname basics
	guest_is 'DNS file' b 'cat /etc/resolv.conf' 'nameserver 192.0.2.53'
}

streams()
{
	head -c 256K /dev/urandom >"$work/in"
	nacre exec "$tag-b" sh -c 'cat; echo the end >&2' <"$work/in" \
		>"$work/out" 2>"$work/err"
	succeeds 'exec: input to its end, and back' cmp "$work/in" "$work/out"
	is 'exec: standard error is apart' "$(cat "$work/err")" 'the end'
	head -c 100M /dev/urandom >"$work/b/rootfs/stream"
	nacre exec "$tag-b" cat /stream </dev/null >"$work/out" 2>"$work/err"
	is 'exec: 100 MiB of output: its status, and no error' \
		"$? $(cat "$work/err")" '0 '
	succeeds 'exec: 100 MiB of output are unbroken' \
		cmp "$work/b/rootfs/stream" "$work/out"
	returns 'exec: its status comes back' 7 nacre exec "$tag-b" \
		sh -c 'exit 7'
}

terminal()
{
	local child

	"$console" "$work/tty.sock" size 97x31 expect '31 97' \
		send $'some words\n' expect 'read <some words>' end \
		>"$work/console" 2>"$work/console.err" &
	child=$!
	await test -S "$work/tty.sock"
	# shellcheck disable=SC2016
	succeeds 'exec: a terminal by the console socket' nacre exec --tty \
		--detach --console-socket "$work/tty.sock" "$tag-b" \
		sh -c 'test -t 0 || exit 1
			until [ "$(stty size)" = "31 97" ]; do sleep 0.1; done
			stty size; read -r line; echo "read <$line>"'
	if wait $child; then
		pass 'exec: its size, input and output'
	else
		fail 'exec: its size, input and output' \
			"$(cat "$work/console" "$work/console.err")"
	fi
}

bundle b '(.linux.namespaces[] | select(.type == "network")).path =
		"/run/netns/'"$ns"'" | .hostname = "basics" |
	.mounts += [{destination: "/etc/resolv.conf", type: "bind",
		source: ($work + "/resolv.conf"), options: ["bind", "ro"]}] |
	.process.capabilities |= map_values(. + ["CAP_NET_RAW"] | unique)'
touch "$work/b/rootfs/etc/resolv.conf"
echo 'nameserver 192.0.2.53' >"$work/resolv.conf"
configure
network
remember
must 'create' create b
is 'state: created' "$(status_of b)" created
must 'start' nacre start "$tag-b"
is 'state: running' "$(status_of b)" running
machine
streams
terminal
guest_ok 'ping from the guest' b 'ping -c 2 -W 30 192.0.2.1'
succeeds 'ping to the guest' busybox ping -c 2 -W 30 192.0.2.2
succeeds 'kill' nacre kill "$tag-b" KILL
happens 'state: stopped' has_status b stopped
succeeds 'delete' nacre delete "$tag-b"
clean 'nothing is left'
