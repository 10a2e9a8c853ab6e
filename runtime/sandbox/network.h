/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_NETWORK_H
#define RUNTIME_SANDBOX_NETWORK_H

/*
 * The sandbox's network: the namespace of config.json (or a new one), its
 * interfaces redirected to taps, and the same addresses for the guest.
 */

#include <stdbool.h>

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"
#include "netns/netns.h"
#include "runtime/oci/spec.h"
#include "vmm/vmm.h"

struct network {
	char *path; /* of the namespace; NULL: none */
	bool ours;  /* to be made, and removed in the end */
	enum netns_model model;
	bool attached;
	struct netns_network net;
};

/*
 * Which namespace it will be; nothing is made yet. dir: <root>/<id>, where a
 * new namespace is kept. model: tcfilter, none.
 */
int network_plan(struct network *n, const Oci__Spec *spec, const char *dir,
		 const char *model, struct err *err) MUST_CHECK;
/* As planned, which was written down for a sweep in the meantime. */
int network_attach(struct network *n, struct err *err) MUST_CHECK;
/* Closes the taps' descriptors; the rest of what is known stays. */
void network_close_taps(struct network *n);
/* Undoes it; idempotent. */
void network_detach(struct network *n);

/* What the agent is told. Owned by the caller (free_unpacked); NULL: out of
 * memory. */
Agent__UpdateInterfaceRequest *network_interface(const struct network *n,
						 unsigned i);
Agent__UpdateRoutesRequest *network_routes(const struct network *n);
/* NULL also when there is none. */
Agent__AddARPNeighborsRequest *network_neighbours(const struct network *n);

#endif
