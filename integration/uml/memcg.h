/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_UML_MEMCG_H
#define INTEGRATION_UML_MEMCG_H

/* A memory cgroup at the top of this host's hierarchy, version 1 or 2. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct memcg {
	bool v2;
	char path[128];
	int lifeline; /* while it is open, nobody else removes the cgroup */
	int ballast;
};

/* Without a limit yet. 0, or an error that says why this host lets us have
 * none. It is removed even if this process is killed. */
int memcg_new(struct memcg *cg, struct err *err) MUST_CHECK;
/* Once no process is in it, for which it waits. 0 or -errno. */
int memcg_remove(struct memcg *cg) MUST_CHECK;
/* What the process had before stays charged where it was. */
int memcg_move(const struct memcg *cg, pid_t pid, struct err *err) MUST_CHECK;
/* Charges memory to it that is no process's. Once. */
int memcg_load(struct memcg *cg, uint64_t len, struct err *err) MUST_CHECK;
/* room: bytes above what is in use now. */
int memcg_limit(const struct memcg *cg, uint64_t room,
		struct err *err) MUST_CHECK;
int memcg_unlimit(const struct memcg *cg, struct err *err) MUST_CHECK;
/* Processes of it that the OOM killer has killed, or -errno. */
int memcg_kills(const struct memcg *cg) MUST_CHECK;

#endif
