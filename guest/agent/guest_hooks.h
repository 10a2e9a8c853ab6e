/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_GUEST_HOOKS_H
#define GUEST_AGENT_GUEST_HOOKS_H

/*
 * Hooks of the guest's image: the executable files of DIR/prestart,
 * DIR/poststart and DIR/poststop, in the order of their names, for every
 * container. DIR is CreateSandbox's guest_hook_path. Each gets the state of
 * the container as JSON on its standard input.
 */

#include <stdbool.h>

#include "base/err.h"

struct agent;
struct container;

/*
 * False: there is none. True: they run; done is called once, err NULL when
 * all went well, and not at all when the container goes before. done NULL: a
 * failure is only logged.
 */
bool guest_hooks_run(struct container *c, const char *kind, const char *status,
		     void (*done)(struct container *c, const struct err *err));
/* The container goes: nothing of its hooks comes back to it. */
void guest_hooks_forget(struct container *c);
bool guest_hooks_running(const struct agent *agent);

#endif
