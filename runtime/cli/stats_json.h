/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CLI_STATS_JSON_H
#define RUNTIME_CLI_STATS_JSON_H

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* The guest's accounting of a container as one line of JSON on standard
 * output, as runc prints it. */
int stats_print(const char *id, const Agent__StatsContainerResponse *stats,
		struct err *err) MUST_CHECK;

#endif
