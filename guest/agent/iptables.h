/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_IPTABLES_H
#define GUEST_AGENT_IPTABLES_H

/*
 * Rules of the packet filter, as iptables-save and iptables-restore write
 * and read them. The programs are the guest image's; without them the calls
 * are refused.
 */

#include <stdbool.h>
#include <stddef.h>

#include "agent-proto/ttrpc.h"

struct agent;

/* Both take req. */
void iptables_get(struct agent *agent, struct ttrpc_request *req, bool ipv6);
void iptables_set(struct agent *agent, struct ttrpc_request *req, bool ipv6,
		  const void *rules, size_t len);

#endif
