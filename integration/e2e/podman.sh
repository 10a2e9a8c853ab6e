#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian's podman with nacre as its runtime, and a store of its own.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

image=localhost/e2e-busybox

# Runs podman; a sandbox starts in there, so the limit is a generous one. Its
# clean-up process does not get its --runtime-flag.
pod()
{
	timeout -k 5 $((2 * limit)) podman --runtime "$work/nacre" \
		--cgroup-manager cgroupfs --events-backend file "$@"
}

attached()
{
	returns 'run: the status comes back' 7 \
		pod run --rm --network none $image sh -c 'exit 7'
	try pod run --rm --network none --hostname podhost \
		--env E2E=value --user 1000:1001 --volume "$work/vol:/vol" \
		--workdir /tmp --read-only $image sh -c \
		'hostname; echo $E2E; id -u; pwd; echo guest >/vol/guest;
		echo x 2>/dev/null >/x || echo read-only; echo err >&2'
	is 'run: options and output' "$out" \
		$'podhost\nvalue\n1000\n/tmp\nread-only'
	like 'run: standard error' "$err" '(^|.*\n)err$'
	is 'run: a volume' "$(cat "$work/vol/guest" 2>&1)" guest
	try pod run --rm --network none --tty $image sh -c \
		'test -t 0 && test -t 1 && echo terminal'
	like 'run --tty' "$out" '^terminal'
	is 'run --interactive' "$(echo words | pod run --rm --interactive \
		--network none $image cat 2>/dev/null)" words
	try pod run --rm --network none $image /no/such/command
	is 'run: a missing command is 127' "$status" 127
}

detached()
{
	must 'run --detach' pod run --detach --name e2e --network none $image \
		sh -c 'trap "echo got-term; exit 3" TERM; echo started
			while :; do sleep 0.1; done'
	happens 'logs' sh -c 'podman logs e2e | grep -qx started'
	returns 'exec: the status comes back' 9 pod exec e2e sh -c 'exit 9'
	try pod exec e2e uname -r
	is 'exec: the output' "$status" 0
	[ -n "$out" ] && [ "$out" != "$(uname -r)" ] &&
		pass 'the kernel is the guest'\''s' ||
		fail 'the kernel is the guest'\''s' "$out"
	try pod exec --tty e2e sh -c 'test -t 1 && echo terminal'
	like 'exec --tty' "$out" '^terminal'
	like 'ps' "$(pod ps --format '{{.Names}} {{.Status}}')" '^e2e Up'
	succeeds 'pause' pod pause e2e
	is 'it is paused' \
		"$(pod inspect --format '{{.State.Status}}' e2e)" paused
	succeeds 'unpause' pod unpause e2e
	succeeds 'stop' pod stop --time "$limit" e2e
	is 'stop: TERM came, and the status back' \
		"$(pod inspect --format '{{.State.ExitCode}}' e2e)" 3
	like 'logs: to the end' "$(pod logs e2e 2>&1)" $'started\ngot-term'
	succeeds 'start again' pod start e2e
	succeeds 'rm --force' pod rm --force --time 0 e2e
}

bridge()
{
	local why

	for why in bridge veth nf_tables nft_chain_nat xt_MASQUERADE \
		xt_comment xt_addrtype iptable_nat iptable_filter xt_conntrack \
		nft_compat; do
		modprobe -q "$why"
	done
	sysctl -qw net.ipv4.ip_forward=1
	try podman --cgroup-manager cgroupfs --events-backend file \
		--runtime crun run --rm $image ip -o -4 addr show dev eth0
	if [ "$status" -ne 0 ]; then
		skip 'the default network' \
			"crun has none here: ${err##*$'\n'}"
		return
	fi
	try pod run --rm --cap-add NET_RAW $image sh -c \
		'ip -o -4 addr show dev eth0; ip route; ping -c 1 -W 30 10.88.0.1'
	is 'the default network' "$status" 0
	like 'it has an address' "$out" 'inet 10\.88\.0\.'
	like 'it has a route' "$out" 'default via 10\.88\.0\.1'
	[ "$status" -eq 0 ] || printf '%s\n' "$err" | sed 's/^/# /'
}

# podman says by CRI-O's annotations which container is of which pod. The root
# of a later one is a mount that is private to the caller's namespace.
pods()
{
	succeeds 'pod create' pod pod create --name e2epod --network none
	must 'run --pod' pod run --detach --pod e2epod --name member $image \
		sleep 100000
	is 'its host name is the pod'\''s' "$(pod exec member hostname)" e2epod
	is 'there are two containers' "$(nacre list -q | wc -l)" 2
	is 'in one sandbox' \
		"$(jq -r .sandbox "$state"/*/state.json | sort -u | wc -l)" 1
	succeeds 'pod rm --force' pod pod rm --force --time 0 e2epod
}

if ! command -v podman >/dev/null; then
	skip 'all' 'no podman here'
	exit 0
fi
# Containers and their locks; podman's own files are beside the point.
mkdir -p /run/lock "$work/vol" "$work/store" /var/lib/containers
mount --bind "$work/store" /var/lib/containers
chmod 777 "$work/vol"
cat >"$work/nacre" <<END
#!/bin/sh
exec "$NACRE" --root "$state" --config "$config" --log "$log" "\$@"
END
chmod 755 "$work/nacre"
make_template
tar -C "$work/template" -cf "$work/image.tar" .
must 'import of an image' podman --events-backend file import -q \
	"$work/image.tar" $image
cleanup='podman --events-backend file rm --all --force --time 0 >/dev/null 2>&1
	umount -R -l /var/lib/containers'
attached
detached
pods
bridge
is 'no container is left' "$(nacre list -q)" ''
happens 'no process is left' sh -c '! pgrep "nacre|conmon"'
