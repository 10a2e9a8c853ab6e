/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NETNS_TAP_H
#define NETNS_TAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

/*
 * A tap in the namespace of this thread, up, that ends with its descriptor:
 * IFF_NO_PI, IFF_VNET_HDR with a header of 12 bytes (virtio 1.2, 5.1.6).
 * Returns the descriptor or -errno.
 */
int tap_open(const char *name, uint32_t mtu, struct err *err) MUST_CHECK;
/* "tap<i>_nacre"; out has IFNAMSIZ bytes. */
void tap_name(unsigned i, char *out);
bool tap_name_is_ours(const char *name);

#endif
