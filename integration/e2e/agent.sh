#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The agent by itself, in a virtual machine of nacre-vmm and driven by vsock:
# with each kernel, both at once. User-mode Linux has its turn in
# integration/agent/run.

set -u
cd "$(dirname "$0")/../.." || exit 1
release=build/release
image=$release/integration/agent/initramfs
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# guest NAME ARGUMENT...: of integration/agent/vm.
guest()
{
	local name=$1

	shift
	TIMEOUT=400 integration/agent/vm "$@" >"$work/$name" 2>&1 </dev/null
}

if [ "${NACRE_MACHINE:-uml}" = uml ]; then
	guest uml uml $release/vmlinux-uml $image
else
	guest tuned kvm $release/vmlinux $image &
	guest stock kvm $release/vmlinuz-stock $image-stock &
	wait
fi
echo "# agent: $SECONDS s"
for name in "$work"/*; do
	echo "# agent: ${name##*/} kernel"
	cat "$name"
done
