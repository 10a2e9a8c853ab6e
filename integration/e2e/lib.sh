# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# What the suites have in common. A suite sources it first: it then runs in
# PID, mount and network namespaces of its own, so that what a container
# leaves behind is seen exactly, and goes with the suite. What decides a run:
#
#	NACRE_MACHINE	kvm or uml
#	NACRE_KERNEL	tuned, stock or backports (kvm)
#	NACRE_VCPUS, NACRE_MEMORY (MiB)
#	NACRE_SMALL	set: shorter streams, fewer repetitions
#	NACRE_LIMIT	seconds that any wait may take
#	NACRE_CONFIG	a jq filter that changes the configuration
#	NACRE_KEEP	set: the suite's directory stays

set -u

if [ -z "${E2E_INSIDE-}" ]; then
	E2E_INSIDE=1 exec unshare --mount --pid --net --fork --kill-child \
		--mount-proc --propagation private "$0" "$@"
fi
unset E2E_INSIDE

suite=$(basename "$0" .sh)
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
checkout=$(cd "$here/../.." && pwd)
# What is below /run or /tmp would be hidden by ours.
case $checkout in
/run/* | /tmp/*)
	mount --bind "$checkout" /srv || exit 1
	checkout=/srv here=/srv/integration/e2e
	;;
esac
release=$checkout/build/release
NACRE=${NACRE_BINARY:-$release/nacre}
machine=${NACRE_MACHINE:-uml}
kernel=${NACRE_KERNEL:-tuned}
vcpus=${NACRE_VCPUS:-1}
memory=${NACRE_MEMORY:-128}
small=${NACRE_SMALL-}
limit=${NACRE_LIMIT:-60}
PATH=$PATH:/usr/sbin:/sbin
python=/usr/bin/python3

passed=0 failed=0 skipped=0 number=0
# /run and /tmp of its own: `ip netns` keeps its names there.
work=$(mktemp -d "${NACRE_SCRATCH:-/var/tmp}/nacre-e2e.XXXXXX") || exit 1
mount -t tmpfs tmpfs /run && mount -t tmpfs tmpfs /tmp || exit 1
ip link set lo up
tag=e2e-${work##*.}
state=$work/state
config=$work/configuration.json
log=$work/log
: >"$log"

# What a suite wants done at its end: add to it.
cleanup=:

finish()
{
	local rc=$?

	trap - EXIT
	eval "$cleanup"
	if [ "$failed" -gt 0 ] || [ "$number" -eq 0 ]; then
		# Without the start of each guest.
		grep -v 'guest: \[ *0\.' "$log" | tail -n 100 |
			sed 's/^/# log: /'
	fi
	for id in "$state"/*/; do
		[ -d "$id" ] || continue
		quietly nacre delete --force "$(basename "$id")"
	done
	for id in "${!session_pid[@]}"; do
		close_session "$id"
	done
	[ "$(findmnt -rno TARGET | grep -c "^$work")" -eq 0 ] ||
		findmnt -rno TARGET | grep "^$work" | sort -r |
		while read -r at; do umount -l "$at"; done
	[ -n "${NACRE_KEEP-}" ] || rm -rf "$work"
	if [ "$number" -eq 0 ] || { [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; }
	then
		fail "$suite ends ahead of time (status $rc)"
	fi
	echo "# $suite: $SECONDS s"
	summary
	[ "$failed" -eq 0 ]
	exit
}
trap finish EXIT
trap 'exit 143' INT TERM HUP

summary()
{
	if [ "$skipped" -gt 0 ]; then
		echo "$passed passed, $failed failed, $skipped skipped"
	else
		echo "$passed passed, $failed failed"
	fi
}

# --- results -----------------------------------------------------------------

pass()
{
	number=$((number + 1)) passed=$((passed + 1))
	echo "ok $number - $suite: $1"
}

# fail DESCRIPTION [DETAIL...]
fail()
{
	number=$((number + 1)) failed=$((failed + 1))
	echo "not ok $number - $suite: $1"
	shift
	[ $# -eq 0 ] || printf '%s\n' "$@" | head -n 20 | cut -c 1-400 |
		sed 's/^/#   /'
}

skip()
{
	number=$((number + 1)) skipped=$((skipped + 1))
	echo "ok $number - $suite: $1 # SKIP $2"
}

bail()
{
	echo "# $suite: cannot go on"
	exit 1
}

# is DESCRIPTION GOT WANTED
is()
{
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1" "got:    $2" "wanted: $3"
	fi
}

# like DESCRIPTION GOT EXTENDED-REGEX
like()
{
	if [[ $2 =~ $3 ]]; then
		pass "$1"
	else
		fail "$1" "got:    $2" "wanted: $3"
	fi
}

# try COMMAND...: sets status, out and err.
try()
{
	status=0
	"$@" >"$work/try.out" 2>"$work/try.err" </dev/null || status=$?
	out=$(tr -d '\0' <"$work/try.out")
	err=$(tr -d '\0' <"$work/try.err")
}

quietly()
{
	"$@" >/dev/null 2>&1 </dev/null
}

# succeeds DESCRIPTION COMMAND...
succeeds()
{
	local what=$1

	shift
	try "$@"
	if [ "$status" -eq 0 ]; then
		pass "$what"
		return 0
	fi
	fail "$what" "status $status: $*" "$err" "$out"
	return 1
}

# What all that follows needs.
must()
{
	succeeds "$@" || bail
}

# returns DESCRIPTION STATUS COMMAND...
returns()
{
	local what=$1 wanted=$2

	shift 2
	try "$@"
	if [ "$status" -eq "$wanted" ]; then
		pass "$what"
		return 0
	fi
	fail "$what" "status $status, not $wanted: $*" "$err" "$out"
	return 1
}

# refuses DESCRIPTION EXTENDED-REGEX COMMAND...: status 1 and one clear line.
refuses()
{
	local what=$1 wanted=$2

	shift 2
	try "$@"
	if [ "$status" -eq 1 ] && [ -z "$out" ] &&
		[ "$(wc -l <"$work/try.err")" -eq 1 ] &&
		[[ $err =~ ^nacre:\  ]] && [[ $err =~ $wanted ]]; then
		pass "$what"
		return 0
	fi
	fail "$what" "status $status, not 1 with one line like: $wanted" \
		"stderr: $err" "stdout: $out"
	return 1
}

# await COMMAND...: until it succeeds.
await()
{
	local end=$((SECONDS + limit))

	until "$@" >/dev/null 2>&1 </dev/null; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep 0.05
	done
}

# happens DESCRIPTION COMMAND...: it succeeds sooner or later.
happens()
{
	local what=$1

	shift
	if await "$@"; then
		pass "$what"
		return 0
	fi
	fail "$what" "not within $limit s: $*"
	return 1
}

# --- nacre -------------------------------------------------------------------

nacre()
{
	timeout -k 5 "$limit" "$NACRE" --root "$state" --config "$config" \
		--log "$log" "$@"
}

# configure [JQ-FILTER]: writes the configuration.
configure()
{
	local vmlinux=$release/vmlinux initrd=$release/initramfs

	if [ "$kernel" != tuned ]; then
		vmlinux=$release/vmlinuz-$kernel
		initrd=$release/initramfs-$kernel
	fi
	jq -n --arg machine "$machine" --arg kernel "$vmlinux" \
		--arg initrd "$initrd" --arg uml "$release/vmlinux-uml" \
		--argjson vcpus "$vcpus" --argjson memory "$memory" \
		--argjson limit "$limit" '{
			machine: $machine, kernel: $kernel, initrd: $initrd,
			uml_kernel: $uml, default_vcpus: $vcpus,
			default_memory: $memory, dial_timeout: $limit,
			create_container_timeout: $limit
		} | '"${NACRE_CONFIG:-.} | ${1:-.}" >"$config"
}

# A root file system of busybox.
make_template()
{
	local applet

	mkdir -p "$work/template"/{bin,dev,etc,proc,root,run,sys,tmp,var}
	cp "$(command -v busybox)" "$work/template/bin/busybox"
	for applet in $(busybox --list); do
		[ "$applet" = busybox ] ||
			ln -s busybox "$work/template/bin/$applet"
	done
	chmod 1777 "$work/template/tmp"
	printf '%s\n' root:x:0:0:root:/root:/bin/sh \
		user:x:1000:1001:user:/:/bin/sh >"$work/template/etc/passwd"
	printf '%s\n' root:x:0: user:x:1001: more:x:2000:user \
		>"$work/template/etc/group"
}

# bundle NAME [JQ-FILTER [ARGUMENT...]]: $work/NAME, from `nacre spec`; ARGUMENTs
# are the command line, a long sleep by default.
bundle()
{
	local name=$1 filter=${2:-.} args

	shift
	[ $# -eq 0 ] || shift
	[ $# -gt 0 ] || set -- sleep 100000
	args=$(printf '%s\1' "$@" | jq -Rs 'split("\u0001")[:-1]')
	[ -d "$work/template" ] || make_template
	[ -e "$work/spec/config.json" ] || {
		mkdir "$work/spec"
		"$NACRE" spec --bundle "$work/spec" || bail
	}
	rm -rf "${work:?}/$name"
	mkdir "$work/$name"
	cp -a "$work/template" "$work/$name/rootfs"
	jq --argjson args "$args" --arg work "$work" '
		.process.terminal = false | .process.args = $args |
		.root.readonly = false | '"$filter" \
		"$work/spec/config.json" >"$work/$name/config.json" || bail
}

# create NAME [OPTION...]: container $tag-NAME of bundle NAME; its output goes
# to $work/NAME.out and .err.
create()
{
	local name=$1

	shift
	nacre create --bundle "$work/$name" "$@" "$tag-$name" \
		</dev/null >"$work/$name.out" 2>"$work/$name.err" && return
	cat "$work/$name.err" >&2
	return 1
}

# up NAME [OPTION...]: created and started, or the suite ends.
up()
{
	local name=$1

	close_session "$name"
	must "container $name is created" create "$@"
	must "container $name starts" nacre start "$tag-$name"
}

# A shell in container NAME for many scripts, for an exec takes its time.
declare -A session_pid session_in session_out session_err

open_session()
{
	local path=$work/$1.session in out err

	close_session "$1"
	mkfifo "$path".{in,out,err}
	"$NACRE" --root "$state" --config "$config" --log "$log" exec \
		"$tag-$1" sh <"$path.in" >"$path.out" 2>"$path.err" &
	session_pid[$1]=$!
	# In the order in which the other side opens them.
	exec {in}>"$path.in" {out}<"$path.out" {err}<"$path.err"
	session_in[$1]=$in session_out[$1]=$out session_err[$1]=$err
	rm "$path".{in,out,err}
}

close_session()
{
	local fd

	[ -n "${session_pid[$1]-}" ] || return 0
	quietly kill -9 "${session_pid[$1]}"
	wait "${session_pid[$1]}" 2>/dev/null
	for fd in ${session_in[$1]} ${session_out[$1]} ${session_err[$1]}; do
		exec {fd}>&-
	done
	unset "session_pid[$1]" "session_in[$1]" "session_out[$1]" \
		"session_err[$1]"
}

has_session()
{
	[ -n "${session_pid[$1]-}" ] && kill -0 "${session_pid[$1]}" 2>/dev/null
}

# until_mark DESCRIPTOR: passes on what comes up to the mark; its number is
# the result, 255 when there is none.
until_mark()
{
	local line text='' first=y

	while IFS= read -r -t "$limit" -u "$1" line; do
		if [[ $line =~ ^"$mark":([0-9]+)$ ]]; then
			printf '%s' "$text"
			return "${BASH_REMATCH[1]}"
		fi
		[ -n "$first" ] || text+=$'\n'
		text+=$line first=
	done
	printf '%s%s' "$text" "$line"
	return 255
}

# guest NAME SCRIPT: runs SCRIPT by a shell in the container.
guest()
{
	local status=0 mark=end-of-$tag

	# What a subshell opened would be lost.
	if ! has_session "$1"; then
		if [ "$BASH_SUBSHELL" -gt 0 ]; then
			nacre exec "$tag-$1" sh -c "$2"
			return
		fi
		open_session "$1"
	fi
	printf '(\n%s\n) </dev/null; printf "\\n%s:$?\\n"
		printf "\\n%s:0\\n" >&2\n' "$2" "$mark" "$mark" \
		>&"${session_in[$1]}" || return 255
	until_mark "${session_out[$1]}" || status=$?
	until_mark "${session_err[$1]}" >&2
	return $status
}

# guest_is DESCRIPTION NAME SCRIPT OUTPUT
guest_is()
{
	try guest "$2" "$3"
	if [ "$status" -eq 0 ] && [ "$out" = "$4" ]; then
		pass "$1"
		return 0
	fi
	fail "$1" "in the guest: $3" "status $status" "got:    $out" \
		"wanted: $4" "$err"
	return 1
}

# guest_ok DESCRIPTION NAME SCRIPT
guest_ok()
{
	succeeds "$1" guest "$2" "$3"
}

# status_of NAME
status_of()
{
	nacre state "$tag-$1" | jq -r .status
}

has_status()
{
	[ "$(status_of "$1")" = "$2" ]
}

# pid_of NAME: the proxy's; supervisor_of NAME; sandbox_of NAME.
pid_of()
{
	jq .pid "$state/$tag-$1/state.json"
}

supervisor_of()
{
	jq .supervisor "$state/$tag-$1/state.json"
}

sandbox_of()
{
	pgrep -P "$(supervisor_of "$1")" | head -n 1
}

gone()
{
	! kill -0 "$1" 2>/dev/null
}

# --- what is left ------------------------------------------------------------

# One line each process, mount, link, namespace, cgroup and file there is.
snapshot()
{
	local p comm

	for p in /proc/[0-9]*; do
		[ "$p" != /proc/1 ] || continue
		read -r comm 2>/dev/null <"$p/comm" && echo "process $comm"
	done
	awk '{ print "mount", $5 }' /proc/self/mountinfo
	ip -o link | awk '{ print "link", $2 }'
	find /sys/fs/cgroup -depth -type d -path "*$tag*" 2>/dev/null
	# Those of mount(8), which suites use.
	find /run /tmp "$state" -mindepth 1 ! -path '/run/mount*' 2>/dev/null
}

# Call before the first container.
remember()
{
	mkdir -p "$state"
	snapshot >"$work/now"
	sort "$work/now" >"$work/before"
}

# Sorted later: sort would be one of the processes.
unchanged()
{
	snapshot >"$work/now"
	sort "$work/now" | cmp -s "$work/before" -
}

# clean DESCRIPTION: nothing is there that was not before.
clean()
{
	local end=$((SECONDS + limit))

	until unchanged; do
		if [ "$SECONDS" -ge "$end" ]; then
			fail "$1" "$(sort "$work/now" |
				diff "$work/before" - | grep '^[<>]')"
			return 1
		fi
		sleep 0.05
	done
	pass "$1"
}

configure
echo "# $suite: $machine, $kernel kernel, $vcpus vCPU, $memory MiB"
