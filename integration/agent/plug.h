/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_AGENT_PLUG_H
#define INTEGRATION_AGENT_PLUG_H

/* What the files of plug share. */

#include <stdbool.h>
#include <sys/types.h>

#include "integration/agent/calls.h"
#include "integration/agent/client.h"

#define PLUG(text) "{\"execute\": \"device_add\", \"arguments\": {" text "}}\n"
#define UNPLUG(id)                                               \
	"{\"execute\": \"device_del\", \"arguments\": {\"id\": " \
	"\"" id "\"}}\n"

extern const char *rootfs; /* of the guest, with busybox */

/* The agent takes the calls of a connection in turn: when it has answered the
 * next one, the one before waits. */
bool waits(const struct waiting *w);
/* Begins a call that waits. */
void ask(struct waiting *w, const char *method, const ProtobufCMessage *req);
bool same(const char *out, const char *want);
/* A command in a container that runs all the time. */
bool says(const char *command, const char *want);
/* What a container has to say. */
bool prints(const char *id, const char *want);
void init_create(Agent__CreateContainerRequest *req, struct test_spec *s,
		 const char *id);
void init_storage(Agent__Storage *s, const char *driver, const char *source);

/* Shared file systems that go, and whose server falls silent; in the end the
 * machine is off. server: who serves `stays`. */
void test_shares(pid_t server);

#endif
