/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_AGENT_CALLS_H
#define INTEGRATION_AGENT_CALLS_H

/* Calls of which several are under way, all by one connection of their own. */

#include <stdbool.h>

#include "agent-proto/ttrpc.h"

struct waiting {
	struct ttrpc_call call;
	bool done;
	enum ttrpc_code code;
	char text[256];
};

void calls_open(void);
void calls_close(void);
void call_begin(struct waiting *w, const char *service, const char *method,
		const ProtobufCMessage *req);
/* Waits for its answer; the text goes to call_text, too. */
enum ttrpc_code call_finish(struct waiting *w);

#endif
