/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_VOLUME_CALLS_H
#define GUEST_AGENT_VOLUME_CALLS_H

/*
 * GetVolumeStats and ResizeVolume. A process of its own asks the file system:
 * one that does not answer holds up its own call, and no other.
 */

#include <stdint.h>

/* Calls at a time, those included that were given up and whose process still
 * waits; and how long one may take. */
#define VOLUME_CALLS_MAX 16u
#define VOLUME_CALL_LIMIT_S 60

/* The connection is gone. */
void volume_calls_forget(uint64_t connection);

#endif
