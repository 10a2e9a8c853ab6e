/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_IDS_H
#define GUEST_AGENT_IDS_H

/*
 * Names and paths as they come by the protocol. An id becomes a component of
 * paths, a path is used from the guest's root.
 */

#include <stdbool.h>

#define ID_MAX 128

/* 1..ID_MAX of [A-Za-z0-9_.-], and neither "." nor "..". */
bool id_valid(const char *id);
/* Absolute, shorter than PATH_MAX, no component "..". */
bool path_valid(const char *path);

#endif
