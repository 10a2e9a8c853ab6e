/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_TERMINATION_LOG_H
#define GUEST_AGENT_TERMINATION_LOG_H

/*
 * What a container has left for Kubernetes to say why it ended: a file of the
 * host's that is mounted where its annotation tells. The host asks for it by
 * GetDiagnosticData when it does not share files with the guest.
 *
 * The container writes the file, and may be able to put another in its place:
 * a link is not followed, and only a regular file is read.
 */

#include "agent-proto/agent.pb-c.h"
#include "agent-proto/ttrpc.h"
#include "base/compiler.h"
#include "base/err.h"
#include "base/evloop.h"

/* Of the end of the file: Kubernetes shows no more. */
#define TERMINATION_LOG_MAX 4096

/* Its path in the guest; NULL: spec has none. Borrowed from spec. */
const char *termination_log_source(const Oci__Spec *spec);
/* UTF-8, with '?' for what is not; empty when there is no such file. 0 or
 * -errno with err. */
int termination_log_read(const char *source, char text[TERMINATION_LOG_MAX + 1],
			 struct err *err) MUST_CHECK;
/* Takes req, which gets the text. */
void termination_log_reply(struct evloop *loop, struct ttrpc_request *req,
			   const char *source);

#endif
