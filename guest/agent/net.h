/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_NET_H
#define GUEST_AGENT_NET_H

/* The guest's interfaces and neighbours. */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* -EAGAIN with err: the device at its device_path (as of pci_path.h) is not
 * there yet. */
int net_interface_ready(const Agent__Interface *interface,
			struct err *err) MUST_CHECK;
/* Finds it by hw_addr, gives it name, mtu and addresses, brings it up. */
int net_update_interface(const Agent__Interface *interface,
			 struct err *err) MUST_CHECK;
/* NULL: err. Caller frees with agent__interfaces__free_unpacked. */
Agent__Interfaces *net_list_interfaces(struct err *err);
int net_add_neighbors(const Agent__ARPNeighbors *neighbors,
		      struct err *err) MUST_CHECK;

#endif
