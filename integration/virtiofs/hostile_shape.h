/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_SHAPE_H
#define INTEGRATION_VIRTIOFS_HOSTILE_SHAPE_H

/* What requests look like, by opcode. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shape {
	uint32_t opcode;
	uint32_t fixed;	 /* bytes before the names */
	uint32_t handle; /* where one is, plus 1; 0: there is none */
	unsigned names;
	bool writes; /* refused when the tree is read-only */
	bool no_node;
	bool unknown; /* ENOSYS or ENOTTY, whatever its arguments */
	bool dir;     /* its handle is a directory's */
};

extern const struct shape shapes[];
extern const unsigned shapes_n;

#define SHAPE_ROOM 512u

/* A request that does little harm, with names of that text; its length. */
size_t shape_fill(const struct shape *shape, uint8_t buf[SHAPE_ROOM],
		  uint64_t handle, const char *name);

#endif
