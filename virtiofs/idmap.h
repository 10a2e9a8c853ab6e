/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_IDMAP_H
#define VIRTIOFS_IDMAP_H

/*
 * Owners of files by other numbers in the guest than on the host: two tables
 * of ranges, one for each direction. What is in no range keeps its number.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

#define FS_IDMAP_RANGES 16u
/* In place of a number that may not be used: (uid_t)-1 is nobody's. */
#define FS_ID_FORBIDDEN UINT32_MAX

struct fs_id_range {
	uint32_t from;
	uint32_t to;
	uint32_t count;
	bool squash; /* all of them are `to`, not to, to + 1, ... */
};

struct fs_id_table {
	unsigned n;
	struct fs_id_range ranges[FS_IDMAP_RANGES];
};

struct fs_idmap {
	struct fs_id_table to_host;
	struct fs_id_table to_guest;
};

/*
 * Adds one rule: guest, host, squash-guest, squash-host, map, each
 * ":FROM:TO:COUNT", or "forbid-guest:FROM:COUNT". -EINVAL: it is none;
 * -EEXIST: its numbers have a rule; -E2BIG: too many.
 */
int fs_idmap_add(struct fs_idmap *map, const char *rule) MUST_CHECK;

/* map may be NULL. */
uint32_t fs_id_to_host(const struct fs_idmap *map, uint32_t id);
uint32_t fs_id_to_guest(const struct fs_idmap *map, uint32_t id);

#endif
