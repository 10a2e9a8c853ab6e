/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_USER_NAMES_H
#define GUEST_AGENT_USER_NAMES_H

/* Users and groups by name, as the files of a container's image have them. */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/*
 * Names or numbers to user; what is empty leaves it as it is. passwd, group:
 * the text of these files. A user by name brings its group, unless one is
 * given. user->additional_gids may become a new vector, which nobody frees.
 */
int user_names_resolve(const Agent__StringUser *names, const char *passwd,
		       const char *group, Oci__User *user,
		       struct err *err) MUST_CHECK;

#endif
