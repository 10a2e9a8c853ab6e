#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# An operator who kills things at each moment and does everything at once, and
# a guest with all rights: what is left after the next `delete --force`.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# In the background, so that it can be killed: the pid goes to $child.
spawn()
{
	setsid "$NACRE" --root "$state" --config "$config" --log "$log" "$@" \
		</dev/null >"$work/spawn.out" 2>"$work/spawn.err" &
	child=$!
}

# --- killed ------------------------------------------------------------------

# The supervisor, which is the other process of that name.
supervisor_at()
{
	pgrep -x nacre | grep -vx "$child" | head -n 1
}

# What a creation is doing is told by what it has made so far.
supervisor_killed()
{
	local made

	bundle k
	for made in task.sock early.json shared vsock/vsock.sock; do
		spawn create --bundle "$work/k" "$tag-k"
		await test -e "$state/$tag-k/$made"
		kill -9 "$(supervisor_at)" 2>/dev/null
		wait $child 2>/dev/null
		succeeds "supervisor killed at $made: delete --force" \
			nacre delete --force "$tag-k"
		clean "supervisor killed at $made: nothing is left"
	done
}

sleeps()
{
	guest e 'grep -qx sleep /proc/[0-9]*/comm'
}

no_sleep()
{
	! sleeps
}

execs_killed()
{
	bundle e . sh -c 'while :; do read -t 1000 x; done'
	up e
	spawn exec "$tag-e" sleep 1000
	happens 'exec: it runs' sleeps
	kill -9 $child
	wait $child 2>/dev/null
	happens 'exec killed: so is its process' no_sleep
	spawn exec --detach --pid-file "$work/e.pid" "$tag-e" sleep 1000
	wait $child
	happens 'exec --detach: it runs' sleeps
	kill -9 "$(cat "$work/e.pid")"
	happens 'exec --detach killed: so is its process' no_sleep
}

# fds_of PID...: how many descriptors they have
fds_of()
{
	local pid

	for pid; do
		find "/proc/$pid/fd" -mindepth 1
	done | wc -l
}

# no_more_fds N PID...
no_more_fds()
{
	local before=$1

	shift
	[ "$(fds_of "$@")" -le "$before" ]
}

# memory_of PID (KiB)
memory_of()
{
	awk '/^VmRSS/ { print $2 }' "/proc/$1/status"
}

many_execs()
{
	local supervisor sandbox before before_memory n=$((small ? 10 : 100))

	supervisor=$(supervisor_of e) sandbox=$(sandbox_of e)
	# The first ones fill caches.
	for _ in 1 2 3; do
		guest e 'echo here' >/dev/null
	done
	before=$(fds_of "$supervisor" "$sandbox")
	before_memory=$(memory_of "$supervisor")
	for ((i = 0; i < n; i++)); do
		guest e 'echo here' >/dev/null || break
	done
	is "$n execs succeed" "$i" "$n"
	happens 'no descriptor of the supervisor or the sandbox process is left' \
		no_more_fds "$before" "$supervisor" "$sandbox"
	for ((i = 0; i < n / 5; i++)); do
		spawn exec "$tag-e" sleep 1000
		await test "$(nacre ps "$tag-e" | wc -l)" -ge 2
		kill -9 $child
		wait $child 2>/dev/null
	done
	happens 'execs that are killed end' no_sleep
	happens 'no descriptor of them is left' \
		no_more_fds "$before" "$supervisor" "$sandbox"
	if [ "$(($(memory_of "$supervisor") - before_memory))" -lt 2048 ]; then
		pass 'the supervisor did not grow'
	else
		fail 'the supervisor did not grow' \
			"$before_memory KiB, $(memory_of "$supervisor") KiB"
	fi
}

# --- at once -----------------------------------------------------------------

# at_once N COMMAND...: the number of those that succeed.
at_once()
{
	local n=$1 pids=() won=0 i

	shift
	for ((i = 0; i < n; i++)); do
		quietly "$@" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" && won=$((won + 1))
	done
	echo $won
}

together()
{
	bundle t
	is 'of five creations of one id one succeeds' "$(at_once 5 nacre \
		create --bundle "$work/t" "$tag-t")" 1
	is 'of five starts one succeeds' "$(at_once 5 nacre start "$tag-t")" 1
	is 'five execs succeed' "$(at_once 5 nacre exec "$tag-t" true)" 5
	quietly nacre exec "$tag-t" sleep 1000 &
	quietly nacre exec "$tag-t" sleep 1000 &
	is 'all of five delete --force succeed' \
		"$(at_once 5 nacre delete --force "$tag-t")" 5
	wait
	clean 'nothing is left'

	spawn create --bundle "$work/t" "$tag-t"
	happens 'delete --force while it is created: refused, then fine' \
		nacre delete --force "$tag-t"
	wait $child 2>/dev/null
	quietly nacre delete --force "$tag-t"
	clean 'nothing is left'
}

# --- a guest with all rights ---------------------------------------------------

mighty='.process.capabilities |= with_entries(.value = ["CAP_SYS_ADMIN",
	"CAP_DAC_OVERRIDE", "CAP_MKNOD", "CAP_CHOWN", "CAP_FOWNER"])'

guest_with_rights()
{
	mkdir -p "$work/volume/below" "$work/deep"
	mount -t tmpfs deep "$work/volume/below"
	touch "$work/volume/file" "$work/volume/below/file"
	bundle g "$mighty"' | .mounts += [
		{destination: "/volume", type: "bind",
			source: ($work + "/volume"), options: ["rbind", "ro"]}]'
	up g
	# What the sandbox process may do, whatever the guest asks it for: the
	# supervisor goes through /shared by path.
	is 'the sandbox process cannot write where it should not' "$(awk \
		'{ sub(/[^\/]*e2e-[^\/]*/, "ID", $5); sub(/,.*/, "", $6)
			print $5, $6 }' \
		"/proc/$(sandbox_of g)/mountinfo" |
		sed 's/[0-9]*-volume/N-volume/' |
		grep -E '^(/|/shared|/vsock|.*volume.*) ' | sort |
		tr '\n' ';')" '/ ro;/shared ro;/shared/ID/N-volume ro;'\
'/shared/ID/N-volume/below ro;/vsock ro;'
	guest_is 'a guest that mounts it again does not write to it' g '
		mount -o remount,rw /volume 2>/dev/null
		mount -o remount,bind,rw /volume 2>/dev/null
		mount -o remount,bind,rw /volume/below 2>/dev/null
		for at in /volume /volume/below; do
			touch $at/made 2>/dev/null && echo "made $at/made"
			rm $at/file 2>/dev/null && echo "removed $at/file"
		done; true' ''
	is 'and holds what it held' "$(cd "$work/volume" &&
		find . -type f -size 0 | sort | tr '\n' ' ')" \
		'./below/file ./file '
	succeeds 'delete --force' nacre delete --force "$tag-g"
	umount "$work/volume/below"
	clean 'nothing is left'
}

remember
together
guest_with_rights
execs_killed
many_execs
succeeds 'delete --force' nacre delete --force "$tag-e"
clean 'nothing is left'
[ -n "$small" ] || supervisor_killed
