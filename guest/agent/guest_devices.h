/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_GUEST_DEVICES_H
#define GUEST_AGENT_GUEST_DEVICES_H

/*
 * Devices the host plugged for a container: types blk (a PCI path) and
 * mmioblk (/dev/NAME). Their numbers are the guest's, so that those in the
 * spec, which are the host's, are replaced.
 */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* -EAGAIN with err: one is not there yet. */
int guest_devices_ready(Agent__Device *const *devices, size_t n,
			struct err *err) MUST_CHECK;
/* Changes the devices of the spec, and the rules for their numbers. */
int guest_devices_apply(Agent__Device *const *devices, size_t n, Oci__Linux *l,
			struct err *err) MUST_CHECK;
/* The types, NULL-terminated. */
extern const char *const guest_device_types[];

#endif
