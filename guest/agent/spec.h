/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_SPEC_H
#define GUEST_AGENT_SPEC_H

/* Whether the agent can do all that a spec asks for, before it begins. */

#include "agent-proto/agent.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

int spec_check(const Oci__Spec *spec, struct err *err) MUST_CHECK;
int spec_check_process(const Oci__Process *process, struct err *err) MUST_CHECK;
/* The fields of the requests that are not the spec. */
int spec_check_create(const Agent__CreateContainerRequest *msg,
		      struct err *err) MUST_CHECK;
int spec_check_exec(const Agent__ExecProcessRequest *msg,
		    struct err *err) MUST_CHECK;

#endif
