/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_DEVICE_H
#define INTEGRATION_VIRTIOFS_HOSTILE_DEVICE_H

/*
 * The device as a sandbox process has it: its event loop, its pool, and vCPUs
 * whose threads serve what they notify of, each on a thread of its own, in this
 * process.
 */

#include <stddef.h>
#include <stdint.h>

#include "integration/virtiofs/hostile_link.h"

/* Of one queue. The descriptors stay as long as the device. */
struct device_ring {
	uint64_t desc; /* addresses of the guest */
	uint64_t avail;
	uint64_t used;
	int kick; /* eventfds, not blocking */
	int call;
	int err; /* the device faulted */
};

/* Guest memory, size bytes from address 0; rings: LINK_QUEUES of them, which
 * are not copied. */
void device_make(const struct virtiofs_config *config, uint8_t *memory,
		 size_t size, const struct device_ring *rings);
/* What a guest does that boots again. Between the two, rings may be changed. */
void device_reset(void);
void device_start(void);
/* A vCPU's notification: of one after the other. */
void device_kick(unsigned queue);

#endif
