/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_RPC_H
#define GUEST_AGENT_RPC_H

#include "agent-proto/ttrpc.h"
#include "guest/agent/agent.h"
#include "guest/agent/container.h"

/* All methods, ended by a zero row. Their argument is the struct agent. */
extern const struct ttrpc_method rpc_methods[];

typedef void rpc_handler(struct ttrpc_request *req,
			 const ProtobufCMessage *message, void *arg);

/* NULL: answered with why. Containers that are being removed are refused. */
struct container *rpc_container(struct agent *agent, struct ttrpc_request *req,
				const char *id);
struct process *rpc_process(struct agent *agent, struct ttrpc_request *req,
			    const char *container, const char *exec);

/* rpc_process.c */
rpc_handler rpc_exec_process, rpc_signal_process, rpc_wait_process,
	rpc_write_stdin, rpc_read_stdout, rpc_read_stderr, rpc_close_stdin,
	rpc_tty_win_resize;
/* rpc_guest.c */
rpc_handler rpc_create_sandbox, rpc_destroy_sandbox, rpc_get_oom_event,
	rpc_get_guest_details, rpc_set_guest_date_time, rpc_reseed_random_dev,
	rpc_update_interface, rpc_update_routes, rpc_list_interfaces,
	rpc_list_routes, rpc_add_arp_neighbors, rpc_check, rpc_version;

#endif
