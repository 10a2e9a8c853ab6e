/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_DELEGATE_H
#define GUEST_AGENT_DELEGATE_H

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"
#include "guest/agent/cgroup.h"

/*
 * Gives the container's group to the user of its process where the spec lets
 * that user manage it (runtime-spec, config-linux.md, Cgroup ownership): with
 * a cgroup namespace of its own and a writable mount of it.
 */
int cgroup_delegate_to_user(const struct cgroup *cg, const Oci__Spec *spec,
			    struct err *err) MUST_CHECK;

#endif
