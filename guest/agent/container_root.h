/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_CONTAINER_ROOT_H
#define GUEST_AGENT_CONTAINER_ROOT_H

#include "guest/agent/child.h"
#include "guest/agent/hooks.h"

/*
 * Builds a new container's view: host name, root, mounts, devices, kernel
 * parameters, hooks; enters it. Returns the master of the terminal and opens
 * *slave; -ENOTTY without error text when the process wants none; else
 * -errno with err. state gets the pid.
 */
int container_root_setup(const struct child_config *config,
			 struct hook_state *state, int *slave,
			 struct err *err) MUST_CHECK;

#endif
