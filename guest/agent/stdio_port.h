/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_STDIO_PORT_H
#define GUEST_AGENT_STDIO_PORT_H

/*
 * Standard streams as connections of their own, as Kata's agent has them. The
 * host calls this port once a stream and names the stream in its request by
 * the port that it called from. It knows that the call was taken before it
 * asks, so a stream that is asked for waits in the backlog at the latest.
 *
 * Only the host's calls are kept. A process of the guest has another CID,
 * which the kernel writes, and so can neither offer a stream nor take one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/evloop.h"

#define STDIO_PORT 1027u
/* Of connections that nobody asked for yet; the oldest goes first. The
 * host's supervisor has fewer. */
#define STDIO_PORT_WAITING 128u

/* Takes fd, which listens. On a Unix socket the calling port is what follows
 * the last "_" of the caller's path. */
int stdio_port_serve(struct evloop *loop, int fd) MUST_CHECK;
bool stdio_port_serves(void);
/* Whether splice() gives its connections the pages of a pipe, and not copies
 * in packets of a page each, as a kernel without our patch does. */
bool stdio_port_takes_pages(void);
/* The connection from that port, non-blocking; or -ENOENT. */
int stdio_port_take(uint32_t port) MUST_CHECK;

#endif
