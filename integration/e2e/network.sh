#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The guest takes over the interfaces of its network namespace. The suite's
# own namespace has the other end of the cable.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

ns=e2e
mac=02:00:5e:10:20:30
mib=20

make_network()
{
	ip netns add $ns
	ip link add e2e0 type veth peer name eth0 netns $ns
	ip addr add 192.0.2.1/24 dev e2e0
	ip addr add 2001:db8::1/64 dev e2e0 nodad
	ip link set e2e0 mtu 1400 up
	ip -n $ns link set eth0 address $mac mtu 1400 up
	ip -n $ns addr add 192.0.2.2/24 dev eth0
	ip -n $ns addr add 2001:db8::2/64 dev eth0 nodad
	ip -n $ns route add default via 192.0.2.1
	ip -n $ns route add 198.51.100.0/24 via 192.0.2.7
}

# What nacre may change there.
shape()
{
	ip -n $ns -o link | sed 's/ state [A-Z]*//; s/<[^>]*>//' | sort
	tc -n $ns qdisc show
	tc -n $ns filter show dev eth0 ingress
	ip netns list
}

guest_listens()
{
	guest n 'grep -q ":1388 .* 0A " /proc/net/tcp /proc/net/tcp6'
}

host_listens()
{
	grep -q ':1389 .* 0A ' /proc/net/tcp
}

configuration()
{
	guest_is 'address' n \
		"ip -o -4 addr show dev eth0 | awk '{ print \$4 }'" 192.0.2.2/24
	guest_is 'address of IPv6' n \
		"ip -o -6 addr show dev eth0 scope global |
			awk '{ print \$4 }'" 2001:db8::2/64
	guest_is 'hardware address' n 'cat /sys/class/net/eth0/address' $mac
	guest_is 'MTU' n 'cat /sys/class/net/eth0/mtu' 1400
	guest_is 'default route' n \
		"ip route | awk '/^default/ { print \$3, \$5 }'" '192.0.2.1 eth0'
	guest_is 'another route' n \
		"ip route | awk '/^198/ { print \$1, \$3, \$5 }'" \
		'198.51.100.0/24 192.0.2.7 eth0'
	guest_ok 'lo is up' n 'ping -c 1 -W 30 127.0.0.1'
}

traffic()
{
	guest_ok 'ping from the guest' n 'ping -c 3 -i 0.2 -W 30 192.0.2.1'
	succeeds 'ping to the guest' busybox ping -c 3 -i 0.2 -W 30 192.0.2.2
	guest_ok 'ping by IPv6' n 'ping6 -c 2 -i 0.2 -W 30 2001:db8::1'
	guest_ok 'frames of full size' n 'ping -c 2 -i 0.2 -W 30 -s 1372 192.0.2.1'
	guest_ok 'larger packets in fragments' n \
		'ping -c 2 -i 0.2 -W 30 -s 8000 192.0.2.1'
}

transfers()
{
	local child

	head -c ${mib}M /dev/urandom >"$work/n/rootfs/data"
	nacre exec "$tag-n" sh -c 'nc -l -p 5000 | sha256sum' \
		</dev/null >"$work/sum" 2>&1 &
	child=$!
	happens 'the guest listens' guest_listens
	succeeds "$mib MiB to the guest are sent" timeout "$limit" \
		"$python" "$here/tcp.py" send 192.0.2.2 5000 \
		"$work/n/rootfs/data"
	wait $child
	is 'and are the same there' "$(cat "$work/sum")" \
		"$(sha256sum <"$work/n/rootfs/data")"

	timeout "$limit" "$python" "$here/tcp.py" receive 192.0.2.1 5001 \
		"$work/received" &
	child=$!
	await host_listens
	guest_ok "$mib MiB from the guest are sent" n \
		'nc 192.0.2.1 5001 </data'
	wait $child
	succeeds 'and are the same here' \
		cmp "$work/n/rootfs/data" "$work/received"
}

with_network()
{
	local before

	before=$(shape)
	bundle n "(.linux.namespaces[] | select(.type == \"network\")).path =
		\"/run/netns/$ns\" |
		.process.capabilities |= map_values(. + [\"CAP_NET_RAW\"] |
			unique)"
	up n
	configuration
	traffic
	transfers
	succeeds 'delete --force' nacre delete --force "$tag-n"
	is 'the namespace is as it was' "$(shape)" "$before"
	clean 'nothing is left'

	up n
	guest_ok 'a second sandbox in the same namespace' n \
		'ping -c 1 -W 30 192.0.2.1'
	kill -9 "$(supervisor_of n)"
	succeeds 'supervisor killed: delete --force' \
		nacre delete --force "$tag-n"
	is 'supervisor killed: the namespace is as it was' \
		"$(shape)" "$before"
	clean 'supervisor killed: nothing is left'
}

without()
{
	# Tunnels that the guest's kernel makes by itself have none.
	local devices='ls -d /sys/class/net/*/device 2>/dev/null || :'

	bundle lo
	up lo
	guest_is 'no namespace given: no device' lo "$devices" ''
	succeeds 'delete --force' nacre delete --force "$tag-lo"
	clean 'nothing is left of it'

	configure '.internetworking_model = "none"'
	before=$(shape)
	up n
	guest_is 'internetworking_model none: no device' n "$devices" ''
	is 'the namespace is not touched' "$(shape)" "$before"
	succeeds 'delete --force' nacre delete --force "$tag-n"
	clean 'nothing is left of it, either'
}

if ! quietly ip link add e2e1 type veth peer name e2e2; then
	skip 'all' 'this kernel has no veth'
	exit 0
fi
ip link del e2e1
make_network
remember
with_network
without
