/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_SHARED_MOUNTS_H
#define GUEST_AGENT_SHARED_MOUNTS_H

/*
 * What a container of the pod has mounted, in a container that is being
 * created: a copy of the mount, made once the first one has it.
 */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/evloop.h"
#include "guest/agent/beside.h"

#define SHARED_MOUNTS_WAIT_MS 10000

struct container;

struct shared_mounts {
	Agent__CreateContainerRequest *msg; /* these alone; NULL: none */
	size_t at;
	struct evsource mounts; /* mountinfo of the one that has it */
	struct beside copier;
	struct evtimer limit;
	void (*done)(struct container *c, const struct err *err);
};

/* The name that others share by: of the pod's annotations; NULL: none. */
const char *shared_mounts_name(const Oci__Spec *spec);
/* Keeps what msg asks for, until its first process is there. */
int shared_mounts_keep(struct shared_mounts *s,
		       const Agent__CreateContainerRequest *msg,
		       struct err *err) MUST_CHECK;
/* c's own, before it starts. done comes once, now or later. */
void shared_mounts_make(struct container *c,
			void (*done)(struct container *, const struct err *));
/* Forgets what is under way; fine for a zero one. */
void shared_mounts_release(struct shared_mounts *s);

#endif
