/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_WAITERS_H
#define RUNTIME_SANDBOX_WAITERS_H

/* Requests that are answered later. A list of them is a pointer, NULL when
 * nobody waits. */

#include "agent-proto/ttrpc.h"

struct waiter {
	struct waiter *next;
	struct ttrpc_request *req;
};

/* Without memory req is answered so, and not in the list. */
void waiters_add(struct waiter **list, struct ttrpc_request *req);
/* One who waits no longer, for the caller to answer; NULL: nobody is left. */
struct ttrpc_request *waiters_take(struct waiter **list);
/* Only of those to whom no answer comes through any more. */
struct ttrpc_request *waiters_take_dropped(struct waiter **list);

#endif
