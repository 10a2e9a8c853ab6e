/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_SIZE_H
#define RUNTIME_SANDBOX_SIZE_H

/*
 * How much a sandbox gets. It is decided when its first container is created,
 * and for good: nothing is plugged in later.
 *
 * What a sandbox may use is what linux.resources of that container says; of a
 * pod, what containerd's annotations io.kubernetes.cri.sandbox-memory and
 * sandbox-cpu-{quota,period,shares} say of all its containers. Without a limit
 * the configuration's default_memory and default_vcpus decide.
 */

#include <stdint.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"
#include "runtime/config.h"

struct sandbox_size {
	/* For the cgroup on the host. Borrows from the specification, and
	 * from the two after it: not to be copied. */
	Oci__LinuxResources limits;
	Oci__LinuxMemory memory;
	Oci__LinuxCPU cpu;

	unsigned vcpus;	      /* 1 to VM_VCPUS_MAX */
	uint64_t vm_memory;   /* bytes, a multiple of 2 MiB */
	uint64_t host_memory; /* bytes: the VM and the process around it */
};

/* An annotation that is no number is an error that names it. */
int sandbox_size(struct sandbox_size *size, const Oci__Spec *first,
		 const struct config *config, struct err *err) MUST_CHECK;

#endif
