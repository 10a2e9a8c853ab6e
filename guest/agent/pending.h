/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_PENDING_H
#define GUEST_AGENT_PENDING_H

/* Requests that are answered later, in the order they came. */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/ttrpc.h"

struct pending {
	struct pending *next;
	struct ttrpc_request *req;
};

/* Takes req; without memory for it the request fails here. */
void pending_add(struct pending **list, struct ttrpc_request *req);
/* The oldest one, or NULL. */
struct ttrpc_request *pending_take(struct pending **list);
/* Answers all of them alike: an empty reply, or a failure. */
void pending_reply_all(struct pending **list, const ProtobufCMessage *reply);
void pending_fail_all(struct pending **list, enum ttrpc_code code,
		      const char *text);
/* Forgets those that nobody waits for any more. */
void pending_drop(struct pending **list);
/* The same for one slot that holds a request or NULL. */
void pending_drop_one(struct ttrpc_request **slot);

#endif
