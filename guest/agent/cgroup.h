/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_CGROUP_H
#define GUEST_AGENT_CGROUP_H

/*
 * Control groups, version 2 only, below CGROUP_ROOT. A container owns one
 * group and all groups that are made inside of it.
 */

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

struct cgroup {
	char path[PATH_MAX]; /* with CGROUP_ROOT; "": there is none */
	int dir;	     /* descriptor of it, -1 */
	int devices;	     /* BPF program that is attached, -1 */
};

/*
 * Where a container's group goes: spec is Linux.cgroupsPath, a path or
 * systemd's "slice:prefix:name"; "": id. 0 or -errno with err.
 */
int cgroup_path(const char *spec, const char *id, char *out, size_t size,
		struct err *err) MUST_CHECK;
/* Makes the group; it must be new, or empty and unused. */
int cgroup_create(struct cgroup *cg, const char *path,
		  struct err *err) MUST_CHECK;
/* Kills every process in it. 0 or -errno. */
int cgroup_kill(const struct cgroup *cg) MUST_CHECK;
int cgroup_freeze(const struct cgroup *cg, bool freeze) MUST_CHECK;
/* A word of a flat keyed file, as in cgroup.events. 0 or -errno. */
int cgroup_word(const struct cgroup *cg, const char *file, const char *key,
		uint64_t *value) MUST_CHECK;
/* Removes the group and those inside; closes all. -EBUSY: has processes. */
int cgroup_remove(struct cgroup *cg) MUST_CHECK;
void cgroup_init(struct cgroup *cg);
void cgroup_release(struct cgroup *cg);
/* Hands all controllers down to the children of the directory. */
void cgroup_delegate(int dir);

#endif
