# SPDX-License-Identifier: Apache-2.0
#
# For integration/vhost-user/daemon: what options come to, without a machine.
# shellcheck disable=SC2154

# Of the server below the first process.
threads()
{
	find "/proc/$server/task" -mindepth 1 -maxdepth 1 | wc -l
}

# effects OPTION...: what the server does with them, in said, and how many threads
# it has.
effects()
{
	touch -a -d @1000 shown/file
	daemon_start --shared-dir shown --socket-path sock/fs --once "$@"
	"$programs/effects" sock/fs >said 2>&1
	check "effects: the server ends: $*" wait "$daemon"
}

# effect WHAT LINE: an extended regular expression for one of what was said.
effect()
{
	check "effects: $1: $2" grep -qEx "$2" said
}

accessed()
{
	[ "$(stat -c %X shown/file)" -ne 1000 ]
}

all_effects()
{
	mkdir shown
	mount -t tmpfs -o strictatime shown shown && mkdir shown/below &&
		mount -t tmpfs below shown/below || return
	echo hello | tee shown/file >shown/below/file
	effects
	effect default 'session: readdirplus submounts auto-inval'
	effect default 'entry: 1 1'
	effect default 'open:'
	effect default 'mount: yes'
	effect default 'user.effects: ENOSYS'
	check 'effects: default: O_NOATIME is left out' accessed
	effects --cache always --writeback --preserve-noatime
	effect 'cache always, writeback' \
		'session: writeback readdirplus submounts'
	effect 'cache always' 'entry: 86400 86400'
	effect 'cache always' 'open: keep'
	check 'effects: preserve-noatime' eval '! accessed'
	effects --cache metadata --no-announce-submounts --killpriv-v2
	effect 'cache metadata' 'session: readdirplus killpriv'
	effect 'cache metadata' 'entry: 86400 86400'
	effect 'cache metadata' 'open: direct'
	effect no-announce-submounts 'mount: no'
	effects --cache never --posix-acl --modcaps=-setfcap
	effect 'cache never, posix-acl' 'session: acl submounts'
	effect 'cache never' 'entry: 0 0'
	effect 'modcaps: without setfcap' 'security.capability: EPERM'
	effects --no-readdirplus --posix-acl --xattrmap \
		':prefix:all:user.:trusted.guest.::ok:all:security.:::ok:all:system.::' \
		--modcaps=+sys_admin --no-killpriv-v2
	effect 'no-readdirplus, posix-acl beside a map' \
		'session: acl submounts auto-inval'
	effect 'modcaps, xattrmap' 'user.effects: 0'
	effect 'with setfcap' 'security.capability: 0'
	check 'effects: xattrmap' host_has shown/file \
		trusted.guest.user.effects x
}

# pool SIZE THREADS: beside those of a pool, one that serves meanwhile, and the
# loop.
pool()
{
	daemon_start --shared-dir shown --socket-path sock/fs \
		--thread-pool-size "$1"
	"$programs/effects" sock/fs >/dev/null
	check "threads: $1" test "$(threads)" -eq "$2"
	check "threads: $1: the server ends" daemon_stop
}

# limit OPTION...: of a caller with another one.
limit()
{
	as=(prlimit --nofile=2000:9000)
	daemon_start --shared-dir shown --socket-path sock/fs "$@"
	as=()
	awk '/^Max open files/ { print $4 ":" $5 }' "/proc/$server/limits"
	daemon_stop
}

# logged LEVEL NAMES: lines of the levels NAMES and of no other, the log's last
# one being an error of the start of another.
logged()
{
	local level=$1 levels

	rm -f bound sock/given
	mkfifo bound
	"${given[@]}" ./nacre-virtiofsd --shared-dir shown --fd 7 --once \
		--log-level "$level" >bound 2>log &
	read -r _ <bound
	"$programs/effects" sock/given >/dev/null
	wait $!
	./nacre-virtiofsd --shared-dir none --socket-path sock/none \
		--log-level "$level" 2>>log
	levels=$(sed -n 's/^nacre-virtiofsd: \([a-z]*\): .*/\1/p' log |
		sort -u | tr '\n' ' ')
	check "log: level $level" test "$levels" = "${2:+$2 }"
}

# In a /dev without a log, and with one.
system_log()
{
	mkdir dev
	mount -t tmpfs dev dev && touch dev/null dev/urandom &&
		mkdir dev/shm && mount --bind /dev/shm dev/shm &&
		mount --bind /dev/null dev/null &&
		mount --bind /dev/urandom dev/urandom &&
		mount --rbind dev /dev || return
	check 'syslog: refused where there is none' eval '! ./nacre-virtiofsd \
		--shared-dir shown --socket-path sock/fs --syslog 2>refused'
	check 'syslog: which is said' grep -q -- '--syslog: /dev/log' refused
	rm -f bound
	mkfifo bound
	python3 -c 'import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.settimeout(20)
s.bind("/dev/log")
print(flush=True)
print(s.recv(1000).decode())' >bound 2>&1 &
	exec 6<bound
	read -r _ <&6
	./nacre-virtiofsd --shared-dir shown --socket-path sock/fs \
		--syslog 2>refused &
	daemon=$!
	read -r line <&6
	exec 6<&-
	check "syslog: $line" test "${line%: ready}" != "$line"
	check 'syslog: by its name' test \
		"${line#<30>nacre-virtiofsd: }" != "$line"
	check 'syslog: nothing elsewhere' test ! -s refused
	daemon_stop
	umount -l /dev
	umount -l dev
}
