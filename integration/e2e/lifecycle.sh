#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The commands, the states, and what is left after each end.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# --- one life ----------------------------------------------------------------

# Counts in the bundle, so that the host sees whether it runs; asked to end, it
# waits until it may, and says so.
# shellcheck disable=SC2016
counting='end() { until [ -e /end ]; do sleep 0.1; done; echo >/ended; exit 5; }
trap end TERM
i=0; while :; do i=$((i + 1)); echo $i >/count; sleep 0.1; done'

one_life()
{
	local id=$tag-a pid json before

	bundle a '.annotations = {"e2e.key": "e2e value"}' sh -c "$counting"
	must 'create' create a --pid-file "$work/a.pid"
	pid=$(cat "$work/a.pid")
	try nacre state "$id"
	json=$out
	is 'state: id' "$(jq -r .id <<<"$json")" "$id"
	is 'state: status created' "$(jq -r .status <<<"$json")" created
	is 'state: pid is that of the pid file' "$(jq .pid <<<"$json")" "$pid"
	is 'state: bundle' "$(jq -r .bundle <<<"$json")" "$work/a"
	like 'state: ociVersion' "$(jq -r .ociVersion <<<"$json")" '^1\.'
	is 'state: annotations' \
		"$(jq -r '.annotations["e2e.key"]' <<<"$json")" 'e2e value'
	succeeds 'the process of the pid file lives' kill -0 "$pid"
	refuses 'exec before start is refused' 'cannot exec' \
		nacre exec "$id" true
	refuses 'an id in use is refused' 'exists' \
		nacre create --bundle "$work/a" "$id"
	must 'start' nacre start "$id"
	is 'state: running' "$(status_of a)" running
	refuses 'a second start is refused' 'running' nacre start "$id"
	happens 'the command runs' test -s "$work/a/rootfs/count"

	executions
	lists "$pid"
	freezing
	limits

	refuses 'delete of a running container is refused' \
		'not stopped: running' nacre delete "$id"
	refuses 'a signal that does not exist is refused' 'no such signal' \
		nacre kill "$id" NONSENSE
	succeeds 'kill TERM' nacre kill "$id" TERM
	ending
	happens 'state: stopped' has_status a stopped
	is 'state: no pid when stopped' \
		"$(nacre state "$id" | jq .pid)" 0
	happens 'its process on the host ends' gone "$pid"
	refuses 'kill of a stopped container is refused' 'not running' \
		nacre kill "$id" KILL
	refuses 'exec in a stopped container is refused' 'cannot exec' \
		nacre exec "$id" true
	succeeds 'delete' nacre delete "$id"
	refuses 'state of a deleted container' 'does not exist' \
		nacre state "$id"
	refuses 'delete of a deleted container' 'does not exist' \
		nacre delete "$id"
	succeeds 'delete --force of a deleted container' \
		nacre delete --force "$id"
	clean 'nothing is left of it'
}

now()
{
	date +%s%N
}

# The time of an end is the guest's own, whenever the supervisor hears of it. A
# guest's clock begins with that of the machine, which may count seconds.
ending()
{
	local supervisor from to

	supervisor=$(supervisor_of a)
	kill -STOP "$supervisor"
	from=$(($(now) - 2000000000))
	: >"$work/a/rootfs/end"
	happens 'it ends when it may' test -e "$work/a/rootfs/ended"
	to=$(($(now) + 1000000000))
	until [ "$(now)" -gt $((to + 100000000)) ]; do
		sleep 0.1
	done
	kill -CONT "$supervisor"
	try "$release/integration/e2e/ended" "$state/$tag-a/task.sock" "$tag-a"
	is 'Wait: its status' "${out% *}" 5
	[ "${out#* }" -ge "$from" ] && [ "${out#* }" -le "$to" ] &&
		pass 'Wait: the time of its end, not of the news' ||
		fail 'Wait: the time of its end, not of the news' \
			"from $from to $to, and not ${out#* }"
}

executions()
{
	local id=$tag-a

	returns 'exec: the status comes back' 42 nacre exec "$id" sh -c 'exit 42'
	returns 'exec: a signal is 128 + its number' 137 \
		nacre exec "$id" sh -c 'kill -9 $$'
	guest_is 'exec: the output comes back' a 'echo here; echo >&2 there' here
	is 'exec: so does the standard error' "$err" there
	try nacre exec --env E2E=set --cwd /tmp --user 1000:1001 "$id" \
		sh -c 'echo $E2E $(pwd) $(id -u):$(id -g)'
	is 'exec: --env, --cwd and --user' "$out" 'set /tmp 1000:1001'
	jq -n '{args: ["sh", "-c", "echo $ABC; pwd"], cwd: "/etc",
		env: ["PATH=/bin", "ABC=abc"], user: {uid: 0, gid: 0}}' \
		>"$work/process.json"
	try nacre exec --process "$work/process.json" "$id"
	is 'exec: --process' "$out" $'abc\n/etc'
	refuses 'exec: a missing command is an error' \
		'/no/such/command: no such file' nacre exec \
		"$id" /no/such/command
	succeeds 'exec: --detach' nacre exec --detach \
		--pid-file "$work/exec.pid" "$id" sh -c '
			trap "echo got-usr1 >/detached; exit" USR1
			echo $$ >/detached
			while :; do sleep 0.1; done'
	happens 'exec: the detached process runs' \
		test -s "$work/a/rootfs/detached"
	kill -USR1 "$(cat "$work/exec.pid")"
	happens 'exec: a signal to the pid file reaches it' \
		grep -q got-usr1 "$work/a/rootfs/detached"
	happens 'exec: its process on the host ends' \
		gone "$(cat "$work/exec.pid")"
}

# lists PID
lists()
{
	local id=$tag-a

	is 'list -q' "$(nacre list -q)" "$id"
	like 'list' "$(nacre list)" "ID .*$id +$1 +running +$work/a"
	is 'list --format json' "$(nacre list --format json |
		jq -r '.[] | "\(.id) \(.pid) \(.status)"')" "$id $1 running"
	like 'ps' "$(nacre ps "$id")" "(^|[^0-9])$1([^0-9]|$)"
	like 'ps --format json' "$(nacre ps --format json "$id")" \
		"^\[(.*,)?$1(,.*)?\]"
	is 'events --stats' "$(nacre events --stats "$id" | jq -r \
		'"\(.type) \(.id) \(.data.cpu.usage.total > 0)" +
		" \(.data.memory.usage.usage > 0) \(.data.pids.current > 0)"')" \
		"stats $id true true true"
	refuses 'events: an interval of nothing' 'expected a time' \
		nacre events --interval 0s "$id"
	refuses 'events: an interval without a unit' 'expected a time' \
		nacre events --interval 5 "$id"
	refuses 'events of a container that is not there' 'does not exist' \
		nacre events --stats "$tag-nobody"
}

count()
{
	cat "$work/a/rootfs/count"
}

counts_on()
{
	[ "$(count)" != "$stood_at" ]
}

freezing()
{
	local id=$tag-a

	succeeds 'pause' nacre pause "$id"
	is 'state: paused' "$(status_of a)" paused
	refuses 'a second pause is refused' 'not running' nacre pause "$id"
	stood_at=$(count)
	quietly nacre state "$id"
	quietly nacre list
	is 'a paused container stands still' "$(count)" "$stood_at"
	succeeds 'resume' nacre resume "$id"
	is 'state: running again' "$(status_of a)" running
	happens 'it goes on' counts_on
	refuses 'a second resume is refused' 'not paused' nacre resume "$id"
}

limits()
{
	local id=$tag-a

	succeeds 'update --memory --pids-limit' \
		nacre update --memory 48m --pids-limit 77 "$id"
	guest_is 'the memory limit holds in the guest' a \
		'cat /sys/fs/cgroup/memory.max' $((48 << 20))
	guest_is 'so does the limit of processes' a \
		'cat /sys/fs/cgroup/pids.max' 77
	echo '{"memory": {"limit": 41943040}}' >"$work/resources.json"
	succeeds 'update --resources' \
		nacre update --resources "$work/resources.json" "$id"
	guest_is 'it holds, too' a 'cat /sys/fs/cgroup/memory.max' 41943040
	refuses 'update: what is not a number is refused' 'not a number' \
		nacre update --memory much "$id"
}

# --- run ---------------------------------------------------------------------

hook()
{
	printf '.hooks.%s = [{path: "/bin/sh", args: ["sh", "-c",
		"cat >%s"]}] | ' "$1" "$work/hook.$2"
}

runs()
{
	local child

	bundle run "$(hook createRuntime create) $(hook poststart start)
		$(hook poststop stop) ." sh -c 'echo out; exit 42'
	try nacre run --bundle "$work/run" "$tag-run"
	is 'run: the status comes back' "$status" 42
	is 'run: so does the output' "$out" out
	is 'run: hooks see the states' \
		"$(cat "$work"/hook.{create,start,stop} | jq -r .status |
			tr '\n' ' ')" 'creating running stopped '
	clean 'run: nothing is left'

	bundle run . sh -c 'trap "exit 9" TERM; echo >/ready
		while :; do sleep 0.1; done'
	"$NACRE" --root "$state" --config "$config" --log "$log" run \
		--bundle "$work/run" "$tag-run" </dev/null >/dev/null 2>&1 &
	child=$!
	happens 'run: it runs' test -e "$work/run/rootfs/ready"
	kill -TERM $child
	status=0
	wait $child || status=$?
	is 'run: a signal reaches the container, its status comes back' \
		"$status" 9
	clean 'run: nothing is left after a signal'
}

# --- two of them -------------------------------------------------------------

two()
{
	bundle b '.hostname = "host-b"' sleep 100000
	bundle c '.hostname = "host-c"' sleep 100000
	create b 2>/dev/null &
	up c
	wait $! && pass 'two are created at once' ||
		fail 'two are created at once' "$(cat "$work/b.err")"
	must 'the other one starts' nacre start "$tag-b"
	guest_is 'each has its own: b' b hostname host-b
	guest_is 'each has its own: c' c hostname host-c
	b_boot=$(guest b 'cat /proc/sys/kernel/random/boot_id')
	c_boot=$(guest c 'cat /proc/sys/kernel/random/boot_id')
	like 'each has a kernel: b' "$b_boot" '^[0-9a-f-]{36}$'
	like 'each has a kernel: c' "$c_boot" '^[0-9a-f-]{36}$'
	[ "$b_boot" != "$c_boot" ] && pass 'and they are two' ||
		fail 'and they are two' "$b_boot"
	is 'list -q shows both' "$(nacre list -q | sort | tr '\n' ' ')" \
		"$tag-b $tag-c "
	succeeds 'delete --force of a running one' \
		nacre delete --force "$tag-b"
	guest_is 'the other one runs on' c 'echo on' on
	succeeds 'delete --force of the other one' nacre delete --force "$tag-c"
	clean 'nothing is left of both'
}

# --- violence ----------------------------------------------------------------

killed()
{
	local pid

	bundle k
	up k
	pid=$(pid_of k)
	sandbox=$(sandbox_of k)
	kill -9 "$(supervisor_of k)"
	happens 'supervisor killed: the sandbox process ends' gone "$sandbox"
	happens 'supervisor killed: the process of the pid file ends' \
		gone "$pid"
	is 'supervisor killed: stopped' "$(status_of k)" stopped
	refuses 'supervisor killed: exec says so' 'gone' \
		nacre exec "$tag-k" true
	succeeds 'supervisor killed: delete --force' \
		nacre delete --force "$tag-k"
	clean 'supervisor killed: nothing is left'

	up k
	kill -9 "$(sandbox_of k)"
	happens 'sandbox killed: stopped' has_status k stopped
	refuses 'sandbox killed: exec is refused' 'cannot exec' \
		nacre exec "$tag-k" true
	succeeds 'sandbox killed: delete' nacre delete "$tag-k"
	clean 'sandbox killed: nothing is left'

	up k
	kill -9 "$(pid_of k)"
	happens 'proxy killed: stopped' has_status k stopped
	succeeds 'proxy killed: delete' nacre delete "$tag-k"
	clean 'proxy killed: nothing is left'
}

# What `nacre create` is doing is told by what it has made so far.
phases='claimed:.
supervised:task.sock
mounted:shared
listening:vsock'

killed_creating()
{
	local phase path child

	bundle k
	for phase in $phases; do
		path=$state/$tag-k/${phase#*:}
		setsid "$NACRE" --root "$state" --config "$config" \
			--log "$log" create --bundle "$work/k" "$tag-k" \
			</dev/null >/dev/null 2>&1 &
		child=$!
		await test -e "$path"
		kill -9 $child 2>/dev/null
		wait $child 2>/dev/null
		happens "create killed when ${phase%:*}: delete --force" \
			nacre delete --force "$tag-k"
		clean "create killed when ${phase%:*}: nothing is left"
	done
}

remember
one_life
runs
two
killed
killed_creating
