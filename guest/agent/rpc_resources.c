/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of files and of what the host plugs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent-proto/agent.pb-c.h"
#include "guest/agent/block.h"
#include "guest/agent/copy_file.h"
#include "guest/agent/hotplug.h"
#include "guest/agent/pci_path.h"
#include "guest/agent/rpc.h"
#include "guest/agent/stale_mounts.h"
#include "guest/agent/storage.h"

/* Processors, memory and swap are the machine's. True: answered. */
static bool not_ours(struct agent *agent, struct ttrpc_request *req)
{
	if (agent->init)
		return false;
	ttrpc_fail(req, TTRPC_UNIMPLEMENTED,
		   "this agent does not own the machine");
	return true;
}

void rpc_copy_file(struct ttrpc_request *req, const ProtobufCMessage *message,
		   void *arg)
{
	struct err err = {0};

	rpc_reply_ret(req, copy_file((const void *)message, &err), &err);
}

void rpc_update_ephemeral_mounts(struct ttrpc_request *req,
				 const ProtobufCMessage *message, void *arg)
{
	const Agent__UpdateEphemeralMountsRequest *msg = (const void *)message;
	struct agent *agent = arg;
	struct err err = {0};
	int ret = 0;

	for (size_t i = 0; i < msg->n_storages && !ret; i++)
		ret = storage_remount(&agent->sandbox.mounts, msg->storages[i],
				      &err);
	rpc_reply_ret(req, ret, &err);
}

static int online_ready(struct agent *agent, const ProtobufCMessage *message,
			struct err *err)
{
	return hotplug_online((const void *)message, err);
}

static void reply_done(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *agent)
{
	ttrpc_reply(req, NULL);
}

void rpc_online_cpu_mem(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg)
{
	if (!not_ours(arg, req))
		park(arg, req, message, HOTPLUG_WAIT_MS, online_ready,
		     reply_done);
}

void rpc_mem_hotplug_by_probe(struct ttrpc_request *req,
			      const ProtobufCMessage *message, void *arg)
{
	struct err err = {0};

	if (!not_ours(arg, req))
		rpc_reply_ret(req, hotplug_probe((const void *)message, &err),
			      &err);
}

/* "02/03", as block_find takes it. */
static int swap_source(const Agent__AddSwapRequest *msg, char *out, size_t size,
		       struct err *err)
{
	size_t len = 0;

	if (msg->n_pci_path == 0 || msg->n_pci_path > PCI_HOPS_MAX)
		return err_set(err, EINVAL, "PCI path: %zu hops",
			       msg->n_pci_path);
	for (size_t i = 0; i < msg->n_pci_path; i++) {
		if (msg->pci_path[i] > 0xff)
			return err_set(err, EINVAL, "PCI path: slot %u",
				       msg->pci_path[i]);
		len += (size_t)snprintf(out + len, size - len, "%s%02x",
					i ? "/" : "", msg->pci_path[i]);
	}
	return 0;
}

static int swap_ready(struct agent *agent, const ProtobufCMessage *message,
		      struct err *err)
{
	char source[3 * PCI_HOPS_MAX + 1], path[BLOCK_PATH_MAX];
	int ret =
		swap_source((const void *)message, source, sizeof(source), err);

	return ret < 0 ? ret : block_find(source, path, NULL, err);
}

static void swap_go(struct ttrpc_request *req, const ProtobufCMessage *message,
		    void *agent)
{
	char source[3 * PCI_HOPS_MAX + 1], path[BLOCK_PATH_MAX];
	struct err err = {0};
	int ret = swap_source((const void *)message, source, sizeof(source),
			      &err);

	if (!ret)
		ret = block_find(source, path, NULL, &err);
	if (!ret)
		ret = swap_add(path, &err);
	rpc_reply_ret(req, ret, &err);
}

void rpc_add_swap(struct ttrpc_request *req, const ProtobufCMessage *message,
		  void *arg)
{
	if (!not_ours(arg, req))
		park(arg, req, message, RPC_DEVICES_MS, swap_ready, swap_go);
}

static int swap_path_ready(struct agent *agent, const ProtobufCMessage *message,
			   struct err *err)
{
	const Agent__AddSwapPathRequest *msg = (const void *)message;
	char path[BLOCK_PATH_MAX];

	if (strncmp(msg->path, "/dev/", 5) != 0)
		return err_set(err, EINVAL, "path: not below /dev");
	return block_find(msg->path, path, NULL, err);
}

static void swap_path_go(struct ttrpc_request *req,
			 const ProtobufCMessage *message, void *agent)
{
	const Agent__AddSwapPathRequest *msg = (const void *)message;
	struct err err = {0};

	rpc_reply_ret(req, swap_add(msg->path, &err), &err);
}

void rpc_add_swap_path(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg)
{
	if (!not_ours(arg, req))
		park(arg, req, message, RPC_DEVICES_MS, swap_path_ready,
		     swap_path_go);
}

void rpc_remove_stale_virtiofs_share_mounts(struct ttrpc_request *req,
					    const ProtobufCMessage *message,
					    void *arg)
{
	const struct agent *agent = arg;

	stale_mounts_drop(agent->loop, req);
}
