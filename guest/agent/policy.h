/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_POLICY_H
#define GUEST_AGENT_POLICY_H

/*
 * What the host may ask of this guest. A JSON object, of which all members
 * but the first may be missing:
 *
 *	{
 *		"allow": ["CreateSandbox", "CreateContainer", ...],
 *		"limits": {
 *			"containers": 4,	at a time
 *			"execs": 16,		at a time, of one container
 *			"copy_file_bytes": 65536
 *		}
 *	}
 *
 * A method that is not in the list is refused; the Health service always
 * answers. A policy replaces an earlier one only when it allows nothing more.
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/ttrpc.h"
#include "base/compiler.h"
#include "base/err.h"

#define POLICY_TEXT_MAX (64u << 10)
#define POLICY_METHODS_MAX 64u
#define POLICY_NO_LIMIT UINT64_MAX

struct policy {
	bool set;
	uint64_t allowed; /* bit i: row i of the table of methods */
	uint64_t containers, execs, copy_file_bytes;
};

/* methods: the table of the server, ended by a zero row. */
int policy_parse(const char *text, const struct ttrpc_method *methods,
		 struct policy *out, struct err *err) MUST_CHECK;
/* *p becomes next, or -EPERM with err: it would allow more. */
int policy_replace(struct policy *p, const struct policy *next,
		   struct err *err) MUST_CHECK;
/* method: a row of methods. */
bool policy_allows(const struct policy *p, const struct ttrpc_method *methods,
		   const struct ttrpc_method *method);

#endif
