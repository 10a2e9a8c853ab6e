/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_SYSCTL_H
#define GUEST_AGENT_SYSCTL_H

/* Kernel parameters that belong to a namespace of the container. */

#include <stdbool.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* "net.ipv4.ip_forward" to "net/ipv4/ip_forward"; false: not one a container
 * may set, or not a name. */
bool sysctl_path(const char *key, char *out, size_t size);
/* In the container's namespaces, with the guest's /proc in sight. */
int sysctl_apply(Oci__Pair *const *pairs, size_t n, struct err *err) MUST_CHECK;

#endif
