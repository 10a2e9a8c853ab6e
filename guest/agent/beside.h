/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_BESIDE_H
#define GUEST_AGENT_BESIDE_H

/*
 * A process beside the agent, for what may have to wait for a file server: it
 * is a copy of the agent that runs one function. Its standard input is its end
 * of a pair of sockets (SOCK_SEQPACKET), its output and errors are the agent's;
 * it has no descriptor else but those it was left, so whatever it waits for, it
 * holds up nobody.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/evloop.h"

struct beside_work {
	const char *name; /* of the process */
	void (*run)(const void *arg);
	const void *arg;
	/* Descriptors that it keeps, in order, by the same numbers. */
	const int *fds;
	size_t nfds;
};

/* The agent's side of it. A zeroed one is closed. */
struct beside {
	struct evsource src; /* of the agent's end; its loop is NULL: closed */
	void (*told)(struct beside *b);
};

/*
 * The process ends when run returns, and is the reaper's. told is called when
 * there is something to hear. 0, or -errno and it is closed.
 */
int beside_start(struct beside *b, struct evloop *loop,
		 const struct beside_work *work,
		 void (*told)(struct beside *b)) MUST_CHECK;
/* What it told at once: 0; -EAGAIN: nothing yet; -ECHILD: it has ended, or
 * told something of another length. */
int beside_hear(struct beside *b, void *data, size_t len) MUST_CHECK;
/* What it reads at once. 0 or -errno; waits for nobody. */
int beside_ask(struct beside *b, const void *data, size_t len) MUST_CHECK;
bool beside_open(const struct beside *b);
/* Leaves it alone: it ends once it tells or reads, if not before. Fine for one
 * that is closed. */
void beside_close(struct beside *b);

/* In that process: tells what data is at once. It ends if nobody listens. */
void beside_tell(const void *data, size_t len);

#endif
