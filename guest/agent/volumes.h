/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_VOLUMES_H
#define GUEST_AGENT_VOLUMES_H

/* Volumes of the guest, by a path in it. */

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

struct volume_usage {
	uint64_t available, total, used;
};

int volume_stats(const char *path, struct volume_usage *bytes,
		 struct volume_usage *inodes, struct err *err) MUST_CHECK;
/* Grows the mounted file system to size bytes; 0: to what its device has. */
int volume_resize(const char *path, uint64_t size, struct err *err) MUST_CHECK;

#endif
