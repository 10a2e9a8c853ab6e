/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_SECCOMP_H
#define GUEST_AGENT_SECCOMP_H

/* The spec's seccomp profile, compiled by libseccomp. */

#include <seccomp.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

/* A filter that is ready to load; seccomp_release frees it. */
int seccomp_build(const Oci__LinuxSeccomp *spec, scmp_filter_ctx *out,
		  struct err *err) MUST_CHECK;

#endif
