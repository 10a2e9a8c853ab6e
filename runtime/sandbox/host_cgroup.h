/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_HOST_CGROUP_H
#define RUNTIME_SANDBOX_HOST_CGROUP_H

/*
 * The cgroup (v2) of a sandbox on the host, at linux.cgroupsPath: the whole
 * VM is in it, with limits that follow from those of config.json, and bound to
 * the CPUs and memory nodes that config.json names.
 *
 * On a host without a v2 hierarchy that has the controllers, limits cannot be
 * set: nothing is made, and a line in the log says so.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/*
 * *path: the absolute path of the cgroup to make, or NULL when there will be
 * none. One that exists and holds processes is refused.
 */
int host_cgroup_plan(const Oci__Spec *spec, const char *id, bool systemd,
		     char **path, struct err *err) MUST_CHECK;
/* What was planned, and was written down for a sweep in the meantime. */
int host_cgroup_make(const char *path, struct err *err) MUST_CHECK;
/*
 * memory: bytes that the sandbox may take when r limits memory at all: the
 * whole VM and the process around it. The container's own limit is the guest's
 * affair; here it would end the VM in the place of a process.
 */
int host_cgroup_limit(const char *path, const Oci__LinuxResources *r,
		      uint64_t memory, struct err *err) MUST_CHECK;
/*
 * The path below the hierarchy that systemd gives "SLICE:PREFIX:NAME"; the
 * caller frees it. NULL: not of that form.
 */
char *host_cgroup_of_systemd(const char *given);
/* Kills what is left in it and removes it. 0 when it is not there. */
int host_cgroup_remove(const char *path) MUST_CHECK;

#endif
