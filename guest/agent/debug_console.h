/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_DEBUG_CONSOLE_H
#define GUEST_AGENT_DEBUG_CONSOLE_H

/*
 * A shell of the guest's own on a terminal, for one connection at a time.
 * Only when the kernel's command line has agent.debug_console: it is the
 * host's word that opens the guest.
 */

#include "base/compiler.h"
#include "base/evloop.h"

#define DEBUG_CONSOLE_PORT 1026

/* Takes fd, which listens. 0 or -errno. */
int debug_console_serve(struct evloop *loop, int fd) MUST_CHECK;

#endif
