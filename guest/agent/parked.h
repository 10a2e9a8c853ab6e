/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_PARKED_H
#define GUEST_AGENT_PARKED_H

/*
 * Requests that need hardware the host has just plugged, or a place where a
 * mount is about to go. One that is too early is kept, and tried again at each
 * event of the kernel (NETLINK_KOBJECT_UEVENT), and when somebody says so,
 * until its time is over.
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/ttrpc.h"
#include "base/err.h"
#include "base/evloop.h"

#define PARKED_MAX 256u

struct agent;
struct parked_request;

struct parked {
	struct evsource src;
	struct parked_request *first;
	unsigned n;
	struct evpost again;
	bool posted;
};

/* 0; -EAGAIN with err: not yet; or -errno with err. */
typedef int parked_ready(struct agent *agent, const ProtobufCMessage *message,
			 struct err *err);
/* Takes req. */
typedef void parked_go(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *agent);

/* Calls go when ready says 0, now or later. Takes req. */
void park(struct agent *agent, struct ttrpc_request *req,
	  const ProtobufCMessage *message, unsigned timeout_ms,
	  parked_ready *ready, parked_go *go);
/* Something has changed: tries all of them again, soon. */
void parked_again(struct agent *agent);
void parked_drop(struct agent *agent);

#endif
