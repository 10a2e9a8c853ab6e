/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_LISTEN_H
#define GUEST_AGENT_LISTEN_H

/* Where the agent is spoken to. */

#include "base/compiler.h"
#include "base/err.h"

#define LISTEN_CONNECTIONS 16

/*
 * address: unix://PATH ("@name" is in the abstract name space), or "" for
 * vsock. What listens beside the server has a port of its own, or on Unix
 * the suffix on the same path. A descriptor, or -errno with err.
 */
int listen_at(const char *address, unsigned port, const char *suffix,
	      struct err *err) MUST_CHECK;

#endif
