/* SPDX-License-Identifier: Apache-2.0 */
#ifndef AGENT_PROTO_IDMAP_H
#define AGENT_PROTO_IDMAP_H

/*
 * Id-mapped mounts. The host maps what it shares, as virtio-fs in the guest
 * cannot be mapped (Linux 6.1), the agent what the guest has of its own.
 */

#include <stdbool.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* Whether the mount is to be mapped; *recursive: with what lies below it. */
bool idmap_wanted(const Oci__Mount *m, bool *recursive);
/* A user namespace with the mappings of the mount or, if it has none, those
 * of the container. */
int idmap_userns(const Oci__Mount *m, const Oci__Linux *l,
		 struct err *err) MUST_CHECK;
/* What the guest must not do once more. */
void idmap_strip(Oci__Mount *m);

#endif
