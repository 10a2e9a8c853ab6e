/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_HOTPLUG_H
#define GUEST_AGENT_HOTPLUG_H

/* Processors and memory that the host has plugged, and swap. */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

#define HOTPLUG_WAIT_MS 5000

/* Brings online what is there. -EAGAIN with err: fewer processors than
 * msg->nb_cpus so far. */
int hotplug_online(const Agent__OnlineCpuMemRequest *msg,
		   struct err *err) MUST_CHECK;
/* The memory that the kernel takes at once, in bytes; 0: it does not say. */
uint64_t hotplug_block_size(void);
/* Whether the kernel is told of new memory, instead of finding it. */
bool hotplug_can_probe(void);
/* Tells the kernel of memory at these addresses. */
int hotplug_probe(const Agent__MemHotplugByProbeRequest *msg,
		  struct err *err) MUST_CHECK;
/* path: of a block device that holds swap space. */
int swap_add(const char *path, struct err *err) MUST_CHECK;

#endif
