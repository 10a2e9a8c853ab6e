/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_NAMESPACES_H
#define GUEST_AGENT_NAMESPACES_H

#include <sys/types.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/*
 * The namespaces of a spec: *fresh are those to make (CLONE_NEW*), *joined
 * those with a path. A pid namespace is always one or the other; the caller
 * decides which. Unknown types, duplicates and a missing mount namespace are
 * errors.
 */
int namespaces_parse(const Oci__Linux *l, unsigned long *fresh,
		     unsigned long *joined, struct err *err) MUST_CHECK;

/* In the intermediate process: joins those with a path. */
int namespaces_join(const Oci__Spec *spec, struct err *err) MUST_CHECK;
/* In the process itself, once it is root of its user namespace: what is yet
 * to be made, and the loopback device of a new network namespace. */
int namespaces_enter(unsigned long flags, struct err *err) MUST_CHECK;
/* Makes the time namespace that children will be in. */
int namespaces_time(const Oci__Spec *spec, struct err *err) MUST_CHECK;

/* The text of uid_map or gid_map; caller frees. NULL: err. */
char *namespaces_format_map(const char *name, size_t n,
			    Oci__LinuxIDMapping *const *maps, struct err *err);
/* In the agent: writes the maps of a process in a new user namespace. */
int namespaces_map_ids(pid_t pid, const char *uid_map, const char *gid_map,
		       struct err *err) MUST_CHECK;

#endif
