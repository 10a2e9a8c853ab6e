/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_ROUTES_H
#define GUEST_AGENT_ROUTES_H

/* The guest's main routing table. */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* Replaces all routes that are not the kernel's own. */
int routes_update(const Agent__Routes *routes, struct err *err) MUST_CHECK;
/* NULL: err. Caller frees with agent__routes__free_unpacked. */
Agent__Routes *routes_list(struct err *err);

#endif
