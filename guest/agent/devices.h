/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_DEVICES_H
#define GUEST_AGENT_DEVICES_H

/* Device nodes, links and the terminal below a container's root. */

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* The nodes and links every container has, then the spec's own. */
int devices_make(int root, Oci__LinuxDevice *const *devices, size_t n,
		 struct err *err) MUST_CHECK;

/* A terminal of the devpts on /dev/pts below root: *slave is open for the
 * process, the master is returned (or -errno). size may be NULL. */
int terminal_open(int root, const Oci__Box *size, int *slave,
		  struct err *err) MUST_CHECK;
/* Binds the terminal on /dev/console. */
int terminal_bind_console(int root, int slave, struct err *err) MUST_CHECK;

#endif
