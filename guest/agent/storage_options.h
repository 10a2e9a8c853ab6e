/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STORAGE_OPTIONS_H
#define GUEST_AGENT_STORAGE_OPTIONS_H

/*
 * Options of a storage, one a string, as mount(2) and the drivers take them.
 * Kata's runtimes send several in one string too ("pagesize=2097152,size=1"),
 * and "fsgid=N", which is for the agent: the group of the mount point.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

struct storage_options {
	char *text; /* the list points into it */
	char **list;
	size_t n;
	bool has_group;
	gid_t group;
};

/* Splits at commas, but for those after a backslash, and takes out fsgid= if
 * the storage's driver knows it. 0 or -errno with err; nothing to release in
 * failure. */
int storage_options_parse(const Agent__Storage *s, bool knows_group,
			  struct storage_options *out,
			  struct err *err) MUST_CHECK;
void storage_options_release(struct storage_options *o);

/* The value of the option `name`, or NULL. */
const char *storage_option(const Agent__Storage *s, const char *name);
/* Sizes as the kernel's memparse reads them. 0: none (text may be NULL). */
uint64_t storage_size(const char *text);

#endif
