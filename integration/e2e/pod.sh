#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Containers that share a sandbox, as the annotations of containerd's CRI and
# of CRI-O ask for.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

boot_id()
{
	guest "$1" 'cat /proc/sys/kernel/random/boot_id'
}

# member NAME TYPE [SANDBOX [JQ-FILTER]]
member()
{
	bundle "$1" ".hostname = \"pod\" | .annotations = {
		\"$type_key\": \"$2\"
		${3:+, \"$id_key\": \"$tag-$3\"}} | ${4:-.}"
}

pod()
{
	local pause boot

	member pod sandbox '' '.annotations += {
		"io.kubernetes.cri.sandbox-memory": "335544320"} |
		.linux.resources.memory.limit = 4194304'
	up pod
	pause=$(pid_of pod)
	joined="(.linux.namespaces[] | select(.type == \"ipc\")).path =
		\"/proc/$pause/ns/ipc\" |
		(.linux.namespaces[] | select(.type == \"uts\")).path =
		\"/proc/$pause/ns/uts\""
	member one container pod "$joined"
	member two container pod "$joined |
		(.linux.namespaces[] | select(.type == \"pid\")).path =
		\"/proc/$pause/ns/pid\""
	mkdir "$work/volume"
	for name in one two; do
		jq --arg v "$work/volume" '.mounts += [{destination: "/volume",
			type: "bind", source: $v, options: ["rbind"]}]' \
			"$work/$name/config.json" >"$work/json"
		mv "$work/json" "$work/$name/config.json"
	done
	up one
	up two
	boot=$(boot_id pod)
	guest_ok 'it has the memory of all of the pod' one \
		'awk "/^MemTotal/ { exit !(\$2 > 300000 && \$2 < 360448) }" \
			/proc/meminfo'
	like 'a kernel for the pod' "$boot" '^[0-9a-f-]{36}$'
	is 'it is that of the first container' "$(boot_id one)" "$boot"
	is 'and that of the second' "$(boot_id two)" "$boot"
	guest_ok 'a file in the first' one 'echo one >/here'
	guest_is 'is not in the second' two 'ls /here 2>/dev/null | wc -l' 0
	guest_ok 'a file in the volume of the first' one 'echo v >/volume/v'
	guest_is 'is in that of the second' two 'cat /volume/v' v
	guest_is 'host name of the pod' one hostname pod
	is 'the IPC namespace is shared' \
		"$(guest one 'readlink /proc/self/ns/ipc')" \
		"$(guest two 'readlink /proc/self/ns/ipc')"
	# The shell, and the one that it has forked.
	guest_is 'processes of its own alone' one \
		'set -- /proc/[0-9]*; echo $#; cat /proc/1/comm' $'3\nsleep'
	sees_more=$(guest two 'set -- /proc/[0-9]*; echo $#')
	[ "${sees_more:-0}" -gt 3 ] && pass 'a shared PID namespace shows all' ||
		fail 'a shared PID namespace shows all' "$sees_more"
	is 'list shows all' "$(nacre list -q | sort | tr '\n' ' ')" \
		"$tag-one $tag-pod $tag-two "
	refuses 'an id of the pod in use is refused' exists \
		nacre create --bundle "$work/one" "$tag-one"
	succeeds 'the first is killed' nacre kill "$tag-one" KILL
	happens 'it stops' has_status one stopped
	is 'the second runs on' "$(status_of two)" running
	succeeds 'the first is deleted' nacre delete "$tag-one"
	is 'the pod runs on' "$(boot_id two)" "$boot"
	up one
	is 'the first comes again, to the same kernel' "$(boot_id one)" "$boot"
	returns 'its statuses come back' 3 guest one 'exit 3'
}

# The sandbox's own container goes last.
end()
{
	succeeds 'delete --force of the first' nacre delete --force "$tag-one"
	succeeds 'delete --force of the second' nacre delete --force "$tag-two"
	is 'the sandbox is still there' "$(status_of pod)" running
	succeeds 'delete --force of the sandbox' nacre delete --force "$tag-pod"
	clean 'nothing is left'
}

# CRI-O makes these namespaces, for the sandbox's own container as well.
managed='.linux.namespaces |= map(if .type == "ipc" or .type == "uts"
	then .path = "/proc/1/ns/\(.type)" else . end)'

killed()
{
	member pod sandbox '' "$managed"
	up pod
	member one container pod "$managed"
	up one
	is 'managed namespaces: the IPC namespace is shared' \
		"$(guest one 'readlink /proc/self/ns/ipc')" \
		"$(guest pod 'readlink /proc/self/ns/ipc')"
	guest_is 'managed namespaces: host name of the pod' one hostname pod
	kill -9 "$(sandbox_of pod)"
	happens 'sandbox killed: its container is stopped' \
		has_status one stopped
	happens 'sandbox killed: so is the pod' has_status pod stopped
	succeeds 'sandbox killed: delete of the container' \
		nacre delete "$tag-one"
	succeeds 'sandbox killed: delete of the pod' nacre delete "$tag-pod"
	clean 'sandbox killed: nothing is left'
}

remember
type_key=io.kubernetes.cri.container-type id_key=io.kubernetes.cri.sandbox-id
pod
end
type_key=io.kubernetes.cri-o.ContainerType id_key=io.kubernetes.cri-o.SandboxID
killed
