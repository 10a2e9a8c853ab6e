/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_EXTENSIONS_H
#define RUNTIME_SANDBOX_EXTENSIONS_H

/*
 * What Kata's protocol has no field for travels in fields of ours (oci.proto,
 * from number 1000), which an agent that does not know them skips. So they are
 * for an agent that says it does (AgentDetails.extra_features), and what needs
 * one is refused otherwise.
 */

#include <stdbool.h>

#include <protobuf-c/protobuf-c.h>

#include "base/compiler.h"
#include "base/err.h"

struct extensions {
	bool cgroup_unified;  /* linux.resources.unified */
	bool spec_extensions; /* all others */
};

/* One of the agent's features; others are no matter. */
void extensions_take(struct extensions *have, const char *feature);
/* name: how the specification calls message, a part of it ("" for all). 0, or
 * -EOPNOTSUPP with err, which names the first that is lacking. */
int extensions_check(const struct extensions *have, const char *name,
		     const ProtobufCMessage *message,
		     struct err *err) MUST_CHECK;

#endif
