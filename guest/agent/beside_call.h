/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_BESIDE_CALL_H
#define GUEST_AGENT_BESIDE_CALL_H

/*
 * Requests whose answer may have to wait for a file server: a process beside
 * the agent finds it. A file system that does not answer costs that request
 * alone, and a process until it does.
 */

#include <stddef.h>
#include <stdint.h>

#include "agent-proto/ttrpc.h"
#include "base/compiler.h"
#include "base/evloop.h"

/* At a time, those included that were given up and whose process still waits;
 * and how long one may take. */
#define BESIDE_CALLS_MAX 16u
#define BESIDE_CALL_LIMIT_S 60
#define BESIDE_ANSWER_MAX ((size_t)8 << 10)

struct beside_call_kind {
	const char *process; /* its name */
	const char *what;    /* what errors call it */
	/* In the process: tells what is answer_size long, once. */
	void (*run)(const void *question);
	size_t answer_size; /* BESIDE_ANSWER_MAX at most */
	/* In the agent: takes req. */
	void (*reply)(struct ttrpc_request *req, const void *answer);
};

/* Takes req. question is valid during the call, and in the process. */
void beside_call(struct evloop *loop, struct ttrpc_request *req,
		 const struct beside_call_kind *kind, const void *question);
/* Forgets what nobody waits for any more. */
void beside_calls_drop(void);

#endif
