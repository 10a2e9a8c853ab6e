/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/pending.h"

#include <stdlib.h>

#include "base/cleanup.h"

void pending_add(struct pending **list, struct ttrpc_request *req)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	p->req = req;
	while (*list)
		list = &(*list)->next;
	*list = p;
}

struct ttrpc_request *pending_take(struct pending **list)
{
	struct pending *p = *list;
	struct ttrpc_request *req;

	if (!p)
		return NULL;
	*list = p->next;
	req = p->req;
	free(p);
	return req;
}

void pending_reply_all(struct pending **list, const ProtobufCMessage *reply)
{
	struct ttrpc_request *req;

	while ((req = pending_take(list)))
		ttrpc_reply(req, reply);
}

void pending_fail_all(struct pending **list, enum ttrpc_code code,
		      const char *text)
{
	struct ttrpc_request *req;

	while ((req = pending_take(list)))
		ttrpc_fail(req, code, "%s", text);
}

void pending_drop(struct pending **list)
{
	while (*list) {
		struct pending *p = *list;

		if (!ttrpc_request_dropped(p->req)) {
			list = &p->next;
			continue;
		}
		*list = p->next;
		ttrpc_fail(p->req, TTRPC_CANCELLED, "dropped");
		free(p);
	}
}

void pending_drop_one(struct ttrpc_request **slot)
{
	if (*slot && ttrpc_request_dropped(*slot))
		ttrpc_fail(steal_ptr(slot), TTRPC_CANCELLED, "dropped");
}
