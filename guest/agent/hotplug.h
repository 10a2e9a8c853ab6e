/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_HOTPLUG_H
#define GUEST_AGENT_HOTPLUG_H

/* Processors and memory that the host has plugged, and swap. */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

#define HOTPLUG_WAIT_MS 5000

/* Brings online what is there. -EAGAIN with err: fewer processors than
 * msg->nb_cpus so far. */
int hotplug_online(const Agent__OnlineCpuMemRequest *msg,
		   struct err *err) MUST_CHECK;
/* Tells the kernel of memory at these addresses. */
int hotplug_probe(const Agent__MemHotplugByProbeRequest *msg,
		  struct err *err) MUST_CHECK;
/* path: of a block device that holds swap space. */
int swap_add(const char *path, struct err *err) MUST_CHECK;

#endif
