/* SPDX-License-Identifier: Apache-2.0 */
/* The table of methods, and those of containers. */
#include "guest/agent/rpc.h"

#include <string.h>

#include "agent-proto/agent.pb-c.h"
#include "guest/agent/guest_devices.h"
#include "guest/agent/ids.h"
#include "guest/agent/resources.h"
#include "guest/agent/stats.h"
#include "guest/agent/storage.h"

struct container *rpc_container(struct agent *agent, struct ttrpc_request *req,
				const char *id)
{
	struct container *c;

	if (!id_valid(id)) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT,
			   "container id: not usable");
		return NULL;
	}
	c = container_find(agent, id);
	if (!c) {
		ttrpc_fail(req, TTRPC_NOT_FOUND, "container %s: not found", id);
		return NULL;
	}
	if (c->state >= CONTAINER_REMOVING) {
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "container %s: is being removed", id);
		return NULL;
	}
	return c;
}

struct process *rpc_process(struct agent *agent, struct ttrpc_request *req,
			    const char *container, const char *exec)
{
	struct container *c = rpc_container(agent, req, container);
	struct process *p;

	if (!c)
		return NULL;
	if (*exec && !id_valid(exec)) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT, "exec id: not usable");
		return NULL;
	}
	p = container_process(c, exec);
	if (!p)
		ttrpc_fail(req, TTRPC_NOT_FOUND, "exec %s: no such process",
			   exec);
	return p;
}

void rpc_reply_ret(struct ttrpc_request *req, int ret, const struct err *err)
{
	if (ret < 0)
		ttrpc_fail(req, ttrpc_code_of_errno(err->code), "%s",
			   err->text);
	else
		ttrpc_reply(req, NULL);
}

static int create_ready(struct agent *agent, const ProtobufCMessage *message,
			struct err *err)
{
	const Agent__CreateContainerRequest *msg = (const void *)message;
	int ret = guest_devices_ready(msg->devices, msg->n_devices, err);

	if (!ret)
		ret = storages_ready(&agent->sandbox.mounts, msg->storages,
				     msg->n_storages, err);
	return ret;
}

static void create_go(struct ttrpc_request *req,
		      const ProtobufCMessage *message, void *arg)
{
	struct agent *agent = arg;

	if (agent->sandbox.closing)
		ttrpc_fail(req, TTRPC_FAILED_PRECONDITION,
			   "the sandbox is being removed");
	else
		container_create(agent, req, (const void *)message);
}

static void create_container(struct ttrpc_request *req,
			     const ProtobufCMessage *message, void *arg)
{
	const Agent__CreateContainerRequest *msg = (const void *)message;

	if (!id_valid(msg->container_id)) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT,
			   "container id: not usable");
		return;
	}
	park(arg, req, message, RPC_DEVICES_MS, create_ready, create_go);
}

static void start_container(struct ttrpc_request *req,
			    const ProtobufCMessage *message, void *arg)
{
	const Agent__StartContainerRequest *msg = (const void *)message;
	struct container *c = rpc_container(arg, req, msg->container_id);

	if (c)
		container_start(c, req);
}

static void remove_container(struct ttrpc_request *req,
			     const ProtobufCMessage *message, void *arg)
{
	const Agent__RemoveContainerRequest *msg = (const void *)message;
	struct container *c;

	if (!id_valid(msg->container_id)) {
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT,
			   "container id: not usable");
		return;
	}
	/* One that is being removed may be asked for again. */
	c = container_find(arg, msg->container_id);
	if (c)
		container_remove(c, req, msg->timeout);
	else
		ttrpc_fail(req, TTRPC_NOT_FOUND, "container %s: not found",
			   msg->container_id);
}

static void pause_container(struct ttrpc_request *req,
			    const ProtobufCMessage *message, void *arg)
{
	const Agent__ContainerRequest *msg = (const void *)message;
	struct container *c = rpc_container(arg, req, msg->container_id);

	if (c)
		container_freeze(c, req, true);
}

static void resume_container(struct ttrpc_request *req,
			     const ProtobufCMessage *message, void *arg)
{
	const Agent__ContainerRequest *msg = (const void *)message;
	struct container *c = rpc_container(arg, req, msg->container_id);

	if (c)
		container_freeze(c, req, false);
}

static void update_container(struct ttrpc_request *req,
			     const ProtobufCMessage *message, void *arg)
{
	const Agent__UpdateContainerRequest *msg = (const void *)message;
	struct container *c = rpc_container(arg, req, msg->container_id);
	struct err err = {0};

	if (!c)
		return;
	if (!msg->resources)
		ttrpc_fail(req, TTRPC_INVALID_ARGUMENT, "resources: missing");
	else if (resources_update(&c->cgroup, msg->resources, &err) < 0)
		ttrpc_fail(req, ttrpc_code_of_errno(err.code), "%s", err.text);
	else
		ttrpc_reply(req, NULL);
}

static void stats_container(struct ttrpc_request *req,
			    const ProtobufCMessage *message, void *arg)
{
	const Agent__ContainerRequest *msg = (const void *)message;
	struct container *c = rpc_container(arg, req, msg->container_id);
	struct stats *stats;

	if (!c)
		return;
	stats = stats_read(&c->cgroup, c->init.pid);
	if (!stats) {
		ttrpc_fail(req, TTRPC_RESOURCE_EXHAUSTED, "out of memory");
		return;
	}
	ttrpc_reply(req, &stats->reply.base);
	stats_free(stats);
}

#define AGENT(name, type, handler)                                       \
	{                                                                \
		"grpc.AgentService", name, &agent__##type##__descriptor, \
			handler                                          \
	}
#define HEALTH(name, type, handler)                                        \
	{                                                                  \
		"grpc.Health", name, &agent__##type##__descriptor, handler \
	}

const struct ttrpc_method rpc_methods[] = {
	AGENT("CreateSandbox", create_sandbox_request, rpc_create_sandbox),
	AGENT("DestroySandbox", empty, rpc_destroy_sandbox),
	AGENT("CreateContainer", create_container_request, create_container),
	AGENT("StartContainer", start_container_request, start_container),
	AGENT("RemoveContainer", remove_container_request, remove_container),
	AGENT("ExecProcess", exec_process_request, rpc_exec_process),
	AGENT("SignalProcess", signal_process_request, rpc_signal_process),
	AGENT("WaitProcess", wait_process_request, rpc_wait_process),
	AGENT("UpdateContainer", update_container_request, update_container),
	AGENT("StatsContainer", container_request, stats_container),
	AGENT("PauseContainer", container_request, pause_container),
	AGENT("ResumeContainer", container_request, resume_container),
	AGENT("WriteStdin", write_stream_request, rpc_write_stdin),
	AGENT("ReadStdout", read_stream_request, rpc_read_stdout),
	AGENT("ReadStderr", read_stream_request, rpc_read_stderr),
	AGENT("CloseStdin", close_stdin_request, rpc_close_stdin),
	AGENT("TtyWinResize", tty_win_resize_request, rpc_tty_win_resize),
	AGENT("UpdateInterface", update_interface_request,
	      rpc_update_interface),
	AGENT("UpdateRoutes", update_routes_request, rpc_update_routes),
	AGENT("ListInterfaces", empty, rpc_list_interfaces),
	AGENT("ListRoutes", empty, rpc_list_routes),
	AGENT("AddARPNeighbors", add_arpneighbors_request,
	      rpc_add_arp_neighbors),
	AGENT("GetGuestDetails", guest_details_request, rpc_get_guest_details),
	AGENT("SetGuestDateTime", set_guest_date_time_request,
	      rpc_set_guest_date_time),
	AGENT("ReseedRandomDev", reseed_random_dev_request,
	      rpc_reseed_random_dev),
	AGENT("GetOOMEvent", empty, rpc_get_oom_event),
	AGENT("CopyFile", copy_file_request, rpc_copy_file),
	AGENT("UpdateEphemeralMounts", update_ephemeral_mounts_request,
	      rpc_update_ephemeral_mounts),
	AGENT("OnlineCPUMem", online_cpu_mem_request, rpc_online_cpu_mem),
	AGENT("MemHotplugByProbe", mem_hotplug_by_probe_request,
	      rpc_mem_hotplug_by_probe),
	AGENT("AddSwap", add_swap_request, rpc_add_swap),
	AGENT("AddSwapPath", add_swap_path_request, rpc_add_swap_path),
	AGENT("GetVolumeStats", volume_stats_request, rpc_get_volume_stats),
	AGENT("ResizeVolume", resize_volume_request, rpc_resize_volume),
	AGENT("RemoveStaleVirtiofsShareMounts", empty,
	      rpc_remove_stale_virtiofs_share_mounts),
	AGENT("GetMetrics", empty, rpc_get_metrics),
	AGENT("SetPolicy", set_policy_request, rpc_set_policy),
	AGENT("GetDiagnosticData", get_diagnostic_data_request,
	      rpc_get_diagnostic_data),
	AGENT("GetIPTables", get_ip_tables_request, rpc_get_ip_tables),
	AGENT("SetIPTables", set_ip_tables_request, rpc_set_ip_tables),
	AGENT("MemAgentMemcgSet", mem_agent_memcg_set_request,
	      rpc_mem_agent_memcg_set),
	AGENT("MemAgentCompactSet", mem_agent_compact_set_request,
	      rpc_mem_agent_compact_set),
	AGENT("ReplayEvents", replay_events_request, rpc_replay_events),
	HEALTH("Check", check_request, rpc_check),
	HEALTH("Version", check_request, rpc_version),
	{0},
};
