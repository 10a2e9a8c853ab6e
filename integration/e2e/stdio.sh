#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Standard input, output and error; terminals.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

console=$release/integration/e2e/console
type_key=io.kubernetes.cri.container-type id_key=io.kubernetes.cri.sandbox-id
mib=100
[ -z "$small" ] || mib=32

# there_and_back HOW: by what `nacre` is now.
there_and_back()
{
	status=0
	nacre run --bundle "$work/cat" "$tag-cat" <"$work/in" >"$work/out" \
		2>"$work/err" || status=$?
	is "$1: reads to the end of its input" "$status" 0
	succeeds "$1: 1 MiB in and out is the same" cmp "$work/in" "$work/out"
	is "$1: standard error is apart" "$(cat "$work/err")" 'the end'
}

# Whether that many calls to guests are under way: one by each sandbox, which
# has its agent, and those that carry a standard stream each.
has_calls()
{
	[ "$(grep -cE ' 03 +[0-9]+ .*/vsock/vsock.sock$' /proc/net/unix)" = "$1" ]
}

pipes()
{
	head -c 1M /dev/urandom >"$work/in"
	bundle cat . sh -c 'cat; echo the end >&2'
	there_and_back run

	bundle io
	head -c ${mib}M /dev/urandom >"$work/io/rootfs/stream"
	up io
	# Its input was at its end.
	happens 'output and error have connections of their own' has_calls 3
	[ "$kernel" = stock ] ||
		guest_is 'the kernel sends the pages of a pipe' io \
			'cat /sys/module/vmw_vsock_*/parameters/sendpage' Y
	nacre exec "$tag-io" cat /stream </dev/null >"$work/out" 2>"$work/err"
	succeeds "exec: $mib MiB of output are unbroken" \
		cmp "$work/io/rootfs/stream" "$work/out"
	is 'exec: nothing on standard error' "$(cat "$work/err")" ''
	nacre exec "$tag-io" sh -c 'cat /stream; cat /stream >&2' </dev/null \
		2> >(cmp - "$work/io/rootfs/stream" >"$work/err" 2>&1 &&
			echo same >>"$work/err") |
		cmp - "$work/io/rootfs/stream" >"$work/out" 2>&1
	is "exec: $mib MiB to a pipe are unbroken" \
		"${PIPESTATUS[*]} $(cat "$work/out")" '0 0 '
	happens 'exec: and to another by standard error' \
		grep -qx same "$work/err"
	returns 'exec: output to /dev/null' 5 \
		sh -c '"$@" >/dev/null' sh nacre_alone exec "$tag-io" \
		sh -c 'cat /stream; exit 5'
	nacre exec "$tag-io" sh -c 'cat >&2' <"$work/in" >"$work/out" \
		2>"$work/err"
	succeeds 'exec: 1 MiB by standard error' cmp "$work/in" "$work/err"
	is 'exec: nothing on standard output' "$(cat "$work/out")" ''
	rm -f "$work/out" "$work/io/rootfs/stream"
}

odd_ends()
{
	local i jobs=4 pids='' bad=''

	returns 'a closed input is an empty one' 0 \
		sh -c '"$@" <&-' sh nacre_alone exec "$tag-io" cat
	returns 'a closed output does no harm' 3 \
		sh -c '"$@" >&-' sh nacre_alone exec "$tag-io" \
		sh -c 'echo text; exit 3'
	mkfifo "$work/never"
	exec 8<>"$work/never"
	status=0
	nacre exec "$tag-io" true <"$work/never" 8>&- || status=$?
	is 'an input that never ends does not delay the end' "$status" 0
	exec 8>&-
	nacre exec "$tag-io" sh -c 'seq 1 100000; exit 4' </dev/null |
		head -c 4 >"$work/out"
	is 'a reader that goes away does no harm' \
		"${PIPESTATUS[0]} $(cat "$work/out")" $'4 1\n2'
	guest_is 'many lines stay in order' io 'seq 1 20000 | tail -n 3' \
		$'19998\n19999\n20000'
	[ "$mib" -lt 100 ] || jobs=12
	for ((i = 0; i < jobs; i++)); do
		nacre exec "$tag-io" cat <"$work/in" >"$work/out.$i" 2>&1 &
		pids="$pids $!"
	done
	for i in $pids; do
		wait "$i" || bad="$bad status-of-$i"
	done
	for ((i = 0; i < jobs; i++)); do
		cmp -s "$work/in" "$work/out.$i" || bad="$bad $i"
	done
	is "$jobs processes at once, 1 MiB each way" "$bad" ''
	rm -f "$work"/out.*
	succeeds 'delete --force' nacre delete --force "$tag-io"
}

larger()
{
	[ "$(stat -c %s "$1")" -gt "$2" ]
}

# A reader that takes its time holds up its process, and nobody else.
# shellcheck disable=SC2016
slow_reader()
{
	local child

	bundle slow ".annotations = {\"$type_key\": \"sandbox\"}"
	bundle beside ".annotations = {\"$type_key\": \"container\",
		\"$id_key\": \"$tag-slow\"}"
	up slow
	up beside
	mkfifo "$work/slowly"
	exec 8<>"$work/slowly"
	nacre exec "$tag-slow" sh -c 'echo $$ >/pid; exec cat /dev/zero' \
		</dev/null >"$work/slowly" 2>&1 8>&- &
	child=$!
	happens 'its process writes' head -c 1 "$work/slowly"
	guest_is 'a slow reader stops no other' slow 'seq 1 50000 | tail -n 1' \
		50000
	nacre exec "$tag-beside" seq 1 50000 </dev/null >"$work/out"
	is 'nor one of another container of its sandbox' \
		"$(wc -l <"$work/out") $(tail -n 1 "$work/out")" '50000 50000'
	succeeds 'which goes, too' nacre delete --force "$tag-beside"
	succeeds 'the process that waits for it can be killed' \
		nacre exec "$tag-slow" sh -c 'kill $(cat /pid)'
	cat <&8 >"$work/out" 8>&- &
	wait $child
	happens 'it gets what was under way' larger "$work/out" 65536
	kill $! && wait $!
	exec 8>&-
	exec 8<>"$work/slowly"

	# The pipes, and what is kept between them, hold more than that.
	nacre exec "$tag-slow" sh -c 'head -c 200000 /dev/zero; touch /gone' \
		</dev/null >"$work/slowly" 8>&- &
	child=$!
	happens 'the process ends' test -e "$work/slow/rootfs/gone"
	is 'output outlives its process' "$(head -c 200000 <&8 | wc -c)" 200000
	wait $child && pass 'and then it is over' || fail 'and then it is over'
	exec 8>&-
	rm -f "$work/slowly" "$work/out"
	succeeds 'delete --force' nacre delete --force "$tag-slow"
}

# As with an agent that takes no connections for them.
by_requests()
{
	local config=$work/requests.json

	jq '.use_passfd_io = false' "$work/configuration.json" >"$config"
	there_and_back 'by requests'
	bundle asked
	up asked
	happens 'by requests: no stream has a connection' has_calls 1
	succeeds 'delete --force' nacre delete --force "$tag-asked"
}

# shellcheck disable=SC2016
script='tty
test -t 0 && test -t 1 && test -t 2 && echo all-are-terminals
until [ "$(stty size)" = "33 77" ]; do sleep 0.1; done
echo first size
until [ "$(stty size)" = "44 88" ]; do sleep 0.1; done
echo second size
read -r line
echo "read <$line>"
trap "echo interrupted; exit 6" INT
echo waiting
while :; do sleep 0.1; done'

steps=(size 77x33
	expect /dev/pts/ expect all-are-terminals expect 'first size'
	size 88x44 expect 'second size'
	send $'some words\n' expect 'read <some words>'
	expect waiting send $'\003' expect interrupted end)

terminals()
{
	local child

	bundle tty '.process.terminal = true' sh -c "$script"
	"$console" "$work/tty.sock" "${steps[@]}" >"$work/console" \
		2>"$work/console.err" &
	child=$!
	await test -S "$work/tty.sock"
	must 'create with --console-socket' create tty --console-socket \
		"$work/tty.sock"
	rm -f "$work/tty.sock"
	must 'start with a terminal' nacre start "$tag-tty"
	wait $child && pass 'sizes, input, output and Ctrl-C of a terminal' ||
		fail 'sizes, input, output and Ctrl-C of a terminal' \
			"$(cat "$work/console" "$work/console.err")"
	happens 'it ends' has_status tty stopped
	succeeds 'delete' nacre delete "$tag-tty"

	bundle tty
	up tty
	"$console" "$work/tty.sock" "${steps[@]}" >"$work/console" \
		2>"$work/console.err" &
	child=$!
	await test -S "$work/tty.sock"
	succeeds 'exec --tty --detach with --console-socket' nacre exec --tty \
		--detach --console-socket "$work/tty.sock" "$tag-tty" \
		sh -c "$script"
	wait $child && pass 'exec: sizes, input, output and Ctrl-C' ||
		fail 'exec: sizes, input, output and Ctrl-C' \
			"$(cat "$work/console" "$work/console.err")"
	own_terminal
	succeeds 'delete --force' nacre delete --force "$tag-tty"
}

# The caller's own terminal, as in a shell.
own_terminal()
{
	cat >"$work/at_terminal" <<-END
	#!/bin/sh
	stty rows 21 cols 43
	exec $work/nacre_alone exec --tty $tag-tty sh -c \
		'until [ "\$(stty size)" = "21 43" ]; do sleep 0.1; done
		tty; exit 5'
	END
	chmod 755 "$work/at_terminal"
	status=0
	script -qec "$work/at_terminal" /dev/null </dev/null \
		>"$work/console" 2>&1 || status=$?
	is 'exec --tty at a terminal: the status' "$status" 5
	like 'exec --tty at a terminal: the output' "$(cat "$work/console")" \
		/dev/pts/
	refuses 'exec --tty without any terminal' 'not a terminal' \
		nacre exec --tty "$tag-tty" true
}

# For sh, which has no functions of ours.
cat >"$work/nacre_alone" <<END
#!/bin/sh
exec timeout --foreground -k 5 $limit "$NACRE" --root "$state" --config "$config" "\$@"
END
chmod 755 "$work/nacre_alone"
PATH=$PATH:$work

remember
pipes
odd_ends
slow_reader
by_requests
terminals
clean 'nothing is left'
