#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Debian's containerd, whose shim for runc calls nacre instead: the option
# BinaryName of configs/containerd.toml, which ctr calls --runc-binary.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# Unpacked, not installed; integration/e2e/run fetches it.
package=${NACRE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/nacre}/containerd
PATH=$package/usr/bin:$PATH
shims=/run/containerd/runc/default

# --runc-binary takes no options.
make_runtime()
{
	cat >"$work/runtime" <<-END
	#!/bin/sh
	exec "$NACRE" --config "$config" "\$@"
	END
	chmod +x "$work/runtime"
}

start_containerd()
{
	mkdir -p "$work/containerd"
	cat >"$work/containerd.toml" <<-END
	version = 2
	root = "$work/containerd"
	state = "/run/containerd"
	disabled_plugins = ["io.containerd.grpc.v1.cri"]
	END
	setsid containerd --config "$work/containerd.toml" \
		>"$work/containerd.log" 2>&1 </dev/null &
	daemon=$!
	cleanup='kill "$daemon"; wait "$daemon" 2>/dev/null'
	happens 'containerd answers' timeout 5 ctr version || bail
}

ctr_()
{
	timeout -k 5 "$limit" ctr "$@"
}

# runs [OPTION...] -- NAME COMMAND...
runs()
{
	local options=()

	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	# With --rootfs, ctr sets no environment.
	ctr_ run --runtime io.containerd.runc.v2 \
		--runc-binary "$work/runtime" --env PATH=/bin --rootfs \
		"${options[@]}" "$work/template" "$tag-$1" "${@:2}"
}

# heard PATTERN COMMAND...: as try, again if it did not say that: what a process
# wrote that ends at once, ctr loses now and then on a busy machine, and does so
# with crun as well (1 of 400).
heard()
{
	local pattern=$1 i

	shift
	for i in 1 2 3; do
		try "$@"
		[[ ! $out$err =~ $pattern ]] || return
		echo "# ctr, try $i: status $status, not heard: $pattern"
	done
}

# task_is STATUS
task_is()
{
	ctr_ task ls | grep -Eq "^$tag-two +[0-9]+ +$1\$"
}

attached()
{
	heard '^6.*err' runs --rm -- one sh -c 'uname -r; echo err >&2; exit 7'
	is 'run: the status comes back' "$status" 7
	like 'run: the output, and the kernel is the guest'\''s' "$out" \
		'^6\.'
	[ "$out" != "$(uname -r)" ] && pass 'it is not the host'\''s' ||
		fail 'it is not the host'\''s' "$out"
	is 'run: standard error' "$err" err
	try runs --rm -- one /no/such/command
	is 'run: a missing command is an error' "$status" 1
	like 'it names the command' "$err" '/no/such/command'
	# script gives ctr a terminal, of which ctr tells the size once the
	# container has started.
	heard '30 90' script -qec "stty rows 30 cols 90
		timeout --foreground -k 5 $limit ctr run \
		--runtime io.containerd.runc.v2 \
		--runc-binary $work/runtime --env PATH=/bin --rootfs --tty \
		--rm $work/template $tag-tty sh -c '
			until stty size 2>/dev/null | grep -x \"30 90\"; do
				sleep 0.1
			done'" /dev/null
	is 'run: a terminal: the status' "$status" 0
	like 'run: a terminal with its size' "$out" '30 90'
}

detached()
{
	# shellcheck disable=SC2016
	must 'run --detach' runs --detach -- two sh -c \
		'trap "exit 5" TERM; while :; do sleep 0.1; done'
	succeeds 'task ls: running' task_is RUNNING
	returns 'task exec: the status comes back' 3 \
		ctr_ task exec --exec-id a "$tag-two" sh -c 'exit 3'
	# shellcheck disable=SC2016
	heard words sh -c 'echo words | "$@"' sh timeout -k 5 "$limit" \
		ctr task exec --exec-id b "$tag-two" cat
	is 'task exec: standard input, to its end' "$status $out" '0 words'
	like 'task ps' "$(ctr_ task ps "$tag-two")" '[0-9]'
	succeeds 'task pause' ctr_ task pause "$tag-two"
	succeeds 'task ls: paused' task_is PAUSED
	succeeds 'task resume' ctr_ task resume "$tag-two"
	is 'the shim'\''s state directory' \
		"$("$NACRE" --root "$shims" list -q)" "$tag-two"
	succeeds 'task kill' ctr_ task kill "$tag-two"
	happens 'task ls: stopped' task_is STOPPED
	try ctr_ task delete "$tag-two"
	like 'task delete: the status' "$err" 'exit code 5"?$'
	succeeds 'container rm' ctr_ container rm "$tag-two"
	must 'run --detach, again' runs --detach -- three sleep 100000
	succeeds 'task rm --force' ctr_ task rm --force "$tag-three"
	succeeds 'container rm, again' ctr_ container rm "$tag-three"
}

if [ ! -x "$package/usr/bin/containerd" ]; then
	skip 'all' "no $package: run scripts/fetch-package containerd"
	exit 0
fi
make_template
make_runtime
start_containerd
attached
detached
is 'no container is left' "$("$NACRE" --root "$shims" list -q)" ''
happens 'no process is left' sh -c \
	'! pgrep "nacre|containerd-shim|linux" >/dev/null'
[ "$failed" -eq 0 ] || tail -n 40 "$work/containerd.log" | cut -c 1-300 |
	sed 's/^/# containerd: /'
