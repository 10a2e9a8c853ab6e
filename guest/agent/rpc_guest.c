/* SPDX-License-Identifier: Apache-2.0 */
/* Methods of the guest as a whole. */

#include "agent-proto/agent.pb-c.h"
#include "guest/agent/clock.h"
#include "guest/agent/guest_devices.h"
#include "guest/agent/hotplug.h"
#include "guest/agent/ids.h"
#include "guest/agent/iptables.h"
#include "guest/agent/net.h"
#include "guest/agent/routes.h"
#include "guest/agent/rpc.h"
#include "guest/agent/stdio_port.h"
#include "guest/agent/storage.h"

/* Extensions of the protocol that the host may use with this agent. */
static const char *const features[] = {
	"exit_timestamps", "oom_killed",  "cgroup_unified",
	"spec_extensions", "file_events", "stdio_ports", /* the last one */
};

static int sandbox_ready(struct agent *agent, const ProtobufCMessage *message,
			 struct err *err)
{
	const Agent__CreateSandboxRequest *msg = (const void *)message;

	return storages_ready(&agent->sandbox.mounts, msg->storages,
			      msg->n_storages, err);
}

static void sandbox_go(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *agent)
{
	sandbox_create(agent, req, (const void *)message);
}

void rpc_create_sandbox(struct ttrpc_request *req,
			const ProtobufCMessage *message, void *arg)
{
	park(arg, req, message, RPC_DEVICES_MS, sandbox_ready, sandbox_go);
}

void rpc_destroy_sandbox(struct ttrpc_request *req,
			 const ProtobufCMessage *message, void *arg)
{
	sandbox_destroy(arg, req);
}

void rpc_get_oom_event(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg)
{
	struct agent *agent = arg;

	sandbox_wait_oom(&agent->sandbox, req);
}

void rpc_get_guest_details(struct ttrpc_request *req,
			   const ProtobufCMessage *message, void *arg)
{
	const Agent__GuestDetailsRequest *msg = (const void *)message;
	const struct agent *agent = arg;
	Agent__GuestDetailsResponse reply = AGENT__GUEST_DETAILS_RESPONSE__INIT;
	Agent__AgentDetails details = AGENT__AGENT_DETAILS__INIT;
	size_t drivers = 0, types = 0;

	while (storage_drivers[drivers])
		drivers++;
	while (guest_device_types[types])
		types++;
	details.n_device_handlers = types;
	details.device_handlers = (char **)(uintptr_t)guest_device_types;
	details.version = (char *)(uintptr_t)NACRE_VERSION;
	details.init_daemon = agent->init;
	details.supports_seccomp = true;
	details.n_storage_handlers = drivers;
	details.storage_handlers = (char **)(uintptr_t)storage_drivers;
	details.n_extra_features =
		ARRAY_SIZE(features) - (stdio_port_serves() ? 0 : 1);
	details.extra_features = (char **)(uintptr_t)features;
	reply.agent_details = &details;
	if (msg->mem_block_size)
		reply.mem_block_size_bytes = hotplug_block_size();
	if (msg->mem_hotplug_probe)
		reply.support_mem_hotplug_probe = hotplug_can_probe();
	ttrpc_reply(req, &reply.base);
}

void rpc_set_guest_date_time(struct ttrpc_request *req,
			     const ProtobufCMessage *message, void *arg)
{
	const Agent__SetGuestDateTimeRequest *msg = (const void *)message;
	struct err err = {0};

	rpc_reply_ret(req, clock_set(msg->sec, msg->usec, &err), &err);
}

void rpc_reseed_random_dev(struct ttrpc_request *req,
			   const ProtobufCMessage *message, void *arg)
{
	const Agent__ReseedRandomDevRequest *msg = (const void *)message;
	struct err err = {0};

	rpc_reply_ret(req, entropy_add(msg->data.data, msg->data.len, &err),
		      &err);
}

static int interface_ready(struct agent *agent, const ProtobufCMessage *message,
			   struct err *err)
{
	const Agent__UpdateInterfaceRequest *msg = (const void *)message;

	return net_interface_ready(msg->interface, err);
}

static void update_interface(struct ttrpc_request *req,
			     const ProtobufCMessage *message, void *agent)
{
	const Agent__UpdateInterfaceRequest *msg = (const void *)message;
	struct err err = {0};
	int ret = net_update_interface(msg->interface, &err);

	if (ret < 0)
		rpc_reply_ret(req, ret, &err);
	else
		ttrpc_reply(req, &msg->interface->base);
}

void rpc_update_interface(struct ttrpc_request *req,
			  const ProtobufCMessage *message, void *arg)
{
	park(arg, req, message, RPC_DEVICES_MS, interface_ready,
	     update_interface);
}

void rpc_list_interfaces(struct ttrpc_request *req,
			 const ProtobufCMessage *message, void *arg)
{
	struct err err = {0};
	Agent__Interfaces *list = net_list_interfaces(&err);

	if (!list) {
		rpc_reply_ret(req, -err.code, &err);
		return;
	}
	ttrpc_reply(req, &list->base);
	agent__interfaces__free_unpacked(list, NULL);
}

static void reply_routes(struct ttrpc_request *req)
{
	struct err err = {0};
	Agent__Routes *list = routes_list(&err);

	if (!list) {
		rpc_reply_ret(req, -err.code, &err);
		return;
	}
	ttrpc_reply(req, &list->base);
	agent__routes__free_unpacked(list, NULL);
}

void rpc_update_routes(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg)
{
	const Agent__UpdateRoutesRequest *msg = (const void *)message;
	struct err err = {0};
	int ret = routes_update(msg->routes, &err);

	if (ret < 0)
		rpc_reply_ret(req, ret, &err);
	else
		reply_routes(req);
}

void rpc_list_routes(struct ttrpc_request *req, const ProtobufCMessage *message,
		     void *arg)
{
	reply_routes(req);
}

void rpc_add_arp_neighbors(struct ttrpc_request *req,
			   const ProtobufCMessage *message, void *arg)
{
	const Agent__AddARPNeighborsRequest *msg = (const void *)message;
	struct err err = {0};

	rpc_reply_ret(req, net_add_neighbors(msg->neighbors, &err), &err);
}

void rpc_get_ip_tables(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg)
{
	const Agent__GetIpTablesRequest *msg = (const void *)message;

	iptables_get(arg, req, msg->is_ipv6);
}

void rpc_set_ip_tables(struct ttrpc_request *req,
		       const ProtobufCMessage *message, void *arg)
{
	const Agent__SetIpTablesRequest *msg = (const void *)message;

	iptables_set(arg, req, msg->is_ipv6, msg->data.data, msg->data.len);
}

void rpc_check(struct ttrpc_request *req, const ProtobufCMessage *message,
	       void *arg)
{
	Agent__HealthCheckResponse reply = AGENT__HEALTH_CHECK_RESPONSE__INIT;

	reply.status = 1;
	ttrpc_reply(req, &reply.base);
}

void rpc_version(struct ttrpc_request *req, const ProtobufCMessage *message,
		 void *arg)
{
	Agent__VersionCheckResponse reply = AGENT__VERSION_CHECK_RESPONSE__INIT;

	/* The version of the protocol, which Kata's clients do not compare. */
	reply.grpc_version = (char *)(uintptr_t) "0.0.1";
	reply.agent_version = (char *)(uintptr_t)NACRE_VERSION;
	ttrpc_reply(req, &reply.base);
}
