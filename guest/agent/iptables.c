/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/iptables.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent-proto/agent.pb-c.h"
#include "base/cleanup.h"
#include "guest/agent/agent.h"
#include "guest/agent/command.h"

#define LIMIT_MS 30000

struct call {
	struct command cmd;
	struct ttrpc_request *req;
};

/* Where a distribution may have put it. */
static int find(const char *name, char *out, size_t size, struct err *err)
{
	static const char *const dirs[] = {"/usr/sbin", "/sbin", "/usr/bin",
					   "/bin"};

	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		(void)snprintf(out, size, "%s/%s", dirs[i], name);
		if (access(out, X_OK) == 0)
			return 0;
	}
	return err_set(err, ENOTSUP, "the guest's image has no %s", name);
}

static void done(struct command *cmd, const struct err *err)
{
	struct call *call = container_of(cmd, struct call, cmd);
	Agent__IpTablesResponse reply = AGENT__IP_TABLES_RESPONSE__INIT;

	if (err) {
		ttrpc_fail(call->req, TTRPC_INTERNAL, "iptables: %s",
			   err->text);
	} else {
		reply.data.data = (uint8_t *)cmd->output;
		reply.data.len = cmd->output_len;
		ttrpc_reply(call->req, &reply.base);
	}
	free(call);
}

static int start(struct agent *agent, struct ttrpc_request *req,
		 const char *name, const void *input, size_t len,
		 struct err *err)
{
	char path[64];
	char *args[] = {path, NULL};
	struct call *call;
	int ret = find(name, path, sizeof(path), err);

	if (ret < 0)
		return ret;
	call = calloc(1, sizeof(*call));
	if (!call)
		return err_set(err, ENOMEM, "%s: out of memory", name);
	call->req = req;
	ret = command_start(agent, &call->cmd, args, input, len, LIMIT_MS, done,
			    err);
	if (ret < 0)
		free(call);
	return ret;
}

static void answer(struct ttrpc_request *req, int ret, const struct err *err)
{
	if (ret < 0)
		ttrpc_fail(req, ttrpc_code_of_errno(err->code), "%s",
			   err->text);
}

void iptables_get(struct agent *agent, struct ttrpc_request *req, bool ipv6)
{
	struct err err = {0};

	answer(req,
	       start(agent, req, ipv6 ? "ip6tables-save" : "iptables-save",
		     NULL, 0, &err),
	       &err);
}

void iptables_set(struct agent *agent, struct ttrpc_request *req, bool ipv6,
		  const void *rules, size_t len)
{
	struct err err = {0};

	answer(req,
	       start(agent, req,
		     ipv6 ? "ip6tables-restore" : "iptables-restore", rules,
		     len, &err),
	       &err);
}
