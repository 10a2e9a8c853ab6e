/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_CONTAINER_PARTS_H
#define GUEST_AGENT_CONTAINER_PARTS_H

/* What the files of struct container share among themselves. */

#include "guest/agent/container.h"

/* cgroup.procs of the container, open for writing, or -errno. */
int container_open_procs(const struct container *c, struct err *err);
/* Begins to watch the events of its group. */
int container_watch(struct container *c, struct err *err) MUST_CHECK;
void container_remove_expired(struct evtimer *timer);
/* The last step of its removal. Frees c. */
void container_unmounted(struct unmounts *unmounts);
void container_unlink_exec(struct container *c, struct process *p);

#endif
