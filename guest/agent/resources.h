/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_RESOURCES_H
#define GUEST_AGENT_RESOURCES_H

/* OCI resources as files of a control group (version 2). */

#include <stdint.h>

#include "agent-proto/oci.pb-c.h"
#include "guest/agent/cgroup.h"

/* CPU shares (2..262144) as cpu.weight (1..10000), linearly. */
uint64_t cpu_weight(uint64_t shares);
/* r may be NULL: the default device rules are set all the same. */
int resources_setup(struct cgroup *cg, const Oci__LinuxResources *r,
		    struct err *err) MUST_CHECK;
/* Changes what r names and leaves the rest. */
int resources_update(struct cgroup *cg, const Oci__LinuxResources *r,
		     struct err *err) MUST_CHECK;
/* Writes all that r gives but devices below the directory. */
int resources_apply(int dir, const Oci__LinuxResources *r,
		    struct err *err) MUST_CHECK;

#endif
