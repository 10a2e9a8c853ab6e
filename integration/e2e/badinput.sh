#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What cannot work is refused with status 1 and one line that names it, and
# leaves nothing behind.

# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

# rejects DESCRIPTION EXTENDED-REGEX COMMAND...: and nothing is left.
rejects()
{
	refuses "$@" || return
	unchanged || clean "$1: nothing is left"
}

create_bad()
{
	nacre create --bundle "$work/bad" "${1-$tag-bad}"
}

# spoiled JQ-FILTER: bundle bad, so changed.
spoiled()
{
	bundle bad "$@"
}

command_line()
{
	rejects 'no such command' 'unknown command "fly"' nacre fly
	rejects 'no such option' 'unknown option --fast' nacre list --fast
	rejects 'no such global option' 'unknown option --fast' \
		"$NACRE" --fast list
	rejects 'an option without its value' 'needs a value' \
		nacre create "$tag-x" --bundle
	rejects 'too few arguments' 'usage: nacre create' nacre create
	rejects 'too many arguments' 'usage: nacre start' nacre start a b
	rejects 'a relative --root' 'absolute path' \
		"$NACRE" --root here list
	rejects 'no such log format' 'text or json' \
		nacre --log-format xml list
	rejects 'a log that cannot be written' '/no/such' \
		nacre --log /no/such/log list
	rejects 'an id with a slash' 'id "a/b"' create_bad a/b
	rejects 'an id of dots' 'id "\.\."' create_bad ..
	rejects 'an empty id' 'id ""' create_bad ''
	rejects 'an id that is too long for a file name' 'name too long' \
		create_bad "$(printf 'i%.0s' {1..300})"
	rejects 'state of what is not there' '"nobody" does not exist' \
		nacre state nobody
	rejects 'start of what is not there' '"nobody" does not exist' \
		nacre start nobody
	rejects 'exec in what is not there' '"nobody" does not exist' \
		nacre exec nobody true
	rejects 'a --root that is too long' 'name too long' "$NACRE" --root \
		"/$(printf '%0260d' 1)" create --bundle "$work/bad" x
}

bundles()
{
	rejects 'no such bundle' '/no/such/bundle' \
		nacre create --bundle /no/such/bundle "$tag-bad"
	rm "$work/bad/config.json"
	rejects 'a bundle without config.json' 'bad/config.json.*No such file' \
		create_bad
	printf '{\n"ociVersion": "1.0.0",\n"root": {,}\n}\n' \
		>"$work/bad/config.json"
	rejects 'broken JSON names the line' 'config.json:3' create_bad
	spoiled 'del(.process.args)'
	rejects 'no args' 'args' create_bad
	spoiled '.process.cwd = "relative"'
	rejects 'a relative cwd' 'process.cwd.*not an absolute path' create_bad
	spoiled '.process.args = "sh"'
	rejects 'a string for an array' 'process.args' create_bad
	spoiled '.process.env = ["NOVALUE"]'
	rejects 'an environment without =' 'process.env.*NAME=VALUE' create_bad
	spoiled '.ociVersion = "2.0.0"'
	rejects 'a version of the future' 'ociVersion "2.0.0"' create_bad
	spoiled '.linux.namespaces += [{type: "space"}]'
	rejects 'no such namespace' 'no namespace "space"' create_bad
	spoiled '.linux.namespaces |= map(select(.type != "network"))'
	rejects 'the network of the host' 'cannot share the host.s network' \
		create_bad
	spoiled '.process.terminal = true'
	rejects 'a terminal without --console-socket' 'console-socket' \
		create_bad
	spoiled .
	rejects '--console-socket without a terminal' 'terminal is false' \
		nacre create --bundle "$work/bad" --console-socket /run/sock \
		"$tag-bad"
	rm -r "$work/bad/rootfs"
	rejects 'no root file system' 'root.path.*No such file' create_bad
	: >"$work/bad/rootfs"
	rejects 'a root file system that is a file' 'not a directory' create_bad
	spoiled '.mounts += [{destination: "/x", type: "bind",
		source: "/no/such/source", options: ["bind"]}]'
	rejects 'a volume that is not there' '/x.*/no/such/source' create_bad
	spoiled '.mounts += [{destination: "/x", type: "bind",
		source: "/dev/null", options: ["bind"]}]'
	rejects 'a device of the host for a volume' '/dev/null is a device' \
		create_bad
	spoiled '.process.user.uid = -1'
	rejects 'a negative uid' 'uid' create_bad
	spoiled '.annotations =
		{"io.katacontainers.config.hypervisor.default_vcpus": "2"}'
	rejects 'an annotation that is not enabled' \
		'default_vcpus.*not enabled' create_bad
	spoiled '.annotations =
		{"io.katacontainers.config.hypervisor.warp": "9"}'
	rejects 'an annotation that does not exist' 'warp.*no such setting' \
		create_bad
	spoiled '.annotations = {"io.kubernetes.cri.container-type": "pod"}'
	rejects 'a container type that does not exist' \
		'container-type.*"pod"' create_bad
	spoiled '.annotations =
		{"io.kubernetes.cri.container-type": "container",
		"io.kubernetes.cri.sandbox-id": "nobody"}'
	rejects 'a pod that is not there' '"nobody" does not exist' create_bad
}

# with_config JQ-FILTER DESCRIPTION EXTENDED-REGEX
with_config()
{
	configure "$1"
	rejects "$2" "$3" create_bad
	configure
}

configurations()
{
	spoiled .
	with_config '.defualt_vcpus = 1' 'an unknown key names the nearest' \
		'configuration.json:[0-9]+.*did you mean "default_vcpus"'
	with_config '.default_vcpus = 0' 'too few vCPUs' 'default_vcpus.*1'
	with_config '.machine = "pdp11"' 'no such machine' \
		'machine.*"pdp11".*kvm'
	with_config '.initrd = "relative"' 'a relative path' 'absolute path'
	with_config '.kernel = "/no/kernel" | .uml_kernel = "/no/kernel"' \
		'a kernel that is not there' '/no/kernel'
	with_config '.initrd = "/no/initrd"' 'an initrd that is not there' \
		'/no/initrd'
	with_config ".kernel = \"$work/hosts\" | .uml_kernel = \"$work/hosts\"" \
		'a kernel that is none' "$work/hosts"
	echo '{' >"$config"
	rejects 'a broken configuration names the line' \
		'configuration.json:[0-9]+' create_bad
	rm "$config"
	rejects 'a configuration that is not there' \
		'configuration.json.*No such file' create_bad
	configure
}

# Runs nacre with a /dev that lacks a device.
# shellcheck disable=SC2016
without_device()
{
	unshare --mount sh -c 'device=$1; shift
		mount -t tmpfs tmpfs /mnt
		for d in null zero random urandom full tty kvm net; do
			[ "$d" = "$device" ] ||
			cp -a "/dev/$d" /mnt/
		done
		mount --move /mnt /dev
		exec "$@"' sh "$@"
}

devices()
{
	spoiled .
	configure '.machine = "kvm"'
	rejects '/dev/kvm is not there' '/dev/kvm.*load the module' \
		without_device kvm "$NACRE" --root "$state" --config "$config" \
		create --bundle "$work/bad" "$tag-bad"
	configure
}

echo text >"$work/hosts"
bundle bad
remember
command_line
bundles
configurations
devices
