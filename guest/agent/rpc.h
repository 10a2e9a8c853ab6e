/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_RPC_H
#define GUEST_AGENT_RPC_H

#include "agent-proto/ttrpc.h"
#include "guest/agent/agent.h"
#include "guest/agent/container.h"

/* How long a request waits for devices that the host has plugged. */
#define RPC_DEVICES_MS 3000

/* All methods, ended by a zero row. Their argument is the struct agent. */
extern const struct ttrpc_method rpc_methods[];

/* What the policy forbids, for struct ttrpc_server_config. */
const char *rpc_refuse(void *agent, const struct ttrpc_method *method,
		       const ProtobufCMessage *message);

typedef void rpc_handler(struct ttrpc_request *req,
			 const ProtobufCMessage *message, void *arg);

/* NULL: answered with why. Containers that are being removed are refused. */
struct container *rpc_container(struct agent *agent, struct ttrpc_request *req,
				const char *id);
struct process *rpc_process(struct agent *agent, struct ttrpc_request *req,
			    const char *container, const char *exec);

/* An empty reply, or err's code and text when ret is negative. */
void rpc_reply_ret(struct ttrpc_request *req, int ret, const struct err *err);

/* rpc_process.c */
rpc_handler rpc_exec_process, rpc_signal_process, rpc_wait_process,
	rpc_write_stdin, rpc_read_stdout, rpc_read_stderr, rpc_close_stdin,
	rpc_tty_win_resize;
/* rpc_guest.c */
rpc_handler rpc_create_sandbox, rpc_destroy_sandbox, rpc_get_oom_event,
	rpc_get_guest_details, rpc_set_guest_date_time, rpc_reseed_random_dev,
	rpc_update_interface, rpc_update_routes, rpc_list_interfaces,
	rpc_list_routes, rpc_add_arp_neighbors, rpc_get_ip_tables,
	rpc_set_ip_tables, rpc_check, rpc_version;
/* rpc_resources.c */
rpc_handler rpc_copy_file, rpc_update_ephemeral_mounts, rpc_online_cpu_mem,
	rpc_mem_hotplug_by_probe, rpc_add_swap, rpc_add_swap_path,
	rpc_get_volume_stats, rpc_resize_volume,
	rpc_remove_stale_virtiofs_share_mounts;
/* rpc_observe.c */
rpc_handler rpc_get_metrics, rpc_set_policy, rpc_get_diagnostic_data,
	rpc_mem_agent_memcg_set, rpc_mem_agent_compact_set;
/* file_events.c */
rpc_handler rpc_replay_events;

#endif
