/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_MOUNT_OPTIONS_H
#define GUEST_AGENT_MOUNT_OPTIONS_H

/* Options of an OCI mount as flags of mount(2) and mount_setattr(2). */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

#define MOUNT_DATA_MAX 4096 /* a page, as mount(2) takes it */

struct mount_options {
	unsigned long flags;   /* MS_* for mount(2) */
	unsigned long cleared; /* flags that were asked to be off */
	unsigned long propagation[4];
	unsigned n_propagation;
	uint64_t rec_set, rec_clear; /* MOUNT_ATTR_*, with AT_RECURSIVE */
	bool copy_up;		     /* tmpcopyup */
	bool idmap, ridmap;
	char data[MOUNT_DATA_MAX]; /* what the file system is to read */
};

int mount_options_parse(char *const *options, size_t n,
			struct mount_options *out, struct err *err) MUST_CHECK;
/* MOUNT_ATTR_* for MS_*, of those that a mount has, not its file system. */
uint64_t mount_attributes(unsigned long flags);
/* "", "private", "rslave", ...: MS_* or 0; -EINVAL. */
int mount_propagation(const char *name, unsigned long *flags) MUST_CHECK;

#endif
