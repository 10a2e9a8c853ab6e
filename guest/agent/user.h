/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_USER_H
#define GUEST_AGENT_USER_H

/* Identity and capabilities of the process that calls. */

#include <stdint.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

struct cap_sets {
	uint64_t bounding, effective, inheritable, permitted, ambient;
};

/* caps may be NULL: none. An unknown name is an error. */
int cap_sets_parse(const Oci__LinuxCapabilities *caps, struct cap_sets *out,
		   struct err *err) MUST_CHECK;
/* user may be NULL: root. Needs to be root (of its user namespace). */
int user_become(const Oci__User *user, const struct cap_sets *caps,
		struct err *err) MUST_CHECK;
/* uid 0 and gid 0 of the user namespace, with no further groups. */
int user_become_root(struct err *err) MUST_CHECK;
/* The home directory of uid by text of /etc/passwd, copied to out; "/". */
void user_home(const char *passwd, uint32_t uid, char *out, size_t size);

#endif
