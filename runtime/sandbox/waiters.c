/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/waiters.h"

#include <stdlib.h>

void waiters_add(struct waiter **list, struct ttrpc_request *req)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	w->req = req;
	w->next = *list;
	*list = w;
}

static struct ttrpc_request *take(struct waiter **at)
{
	struct waiter *w = *at;
	struct ttrpc_request *req = w->req;

	*at = w->next;
	free(w);
	return req;
}

struct ttrpc_request *waiters_take(struct waiter **list)
{
	return *list ? take(list) : NULL;
}

struct ttrpc_request *waiters_take_dropped(struct waiter **list)
{
	for (struct waiter **at = list; *at; at = &(*at)->next) {
		if (ttrpc_request_dropped((*at)->req))
			return take(at);
	}
	return NULL;
}
