/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_PROCESS_H
#define RUNTIME_SANDBOX_PROCESS_H

/* The sandbox process: the jailed VMM, child of the supervisor. */

#include <stdint.h>
#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"
#include "runtime/config.h"
#include "vmm/vmm.h"

#define SANDBOX_NETS_MAX 8u
#define SANDBOX_SHARE_TAG "nacre"

struct sandbox_params {
	const struct config *config;
	const char *dir;     /* <root>/<id> */
	const char *machine; /* "kvm" or "uml" */
	unsigned vcpus;
	uint64_t memory; /* bytes */
	int cgroup_fd;	 /* directory it is born in; -1: the caller's */
	int vsock_fd;	 /* listening; inherited */
	int device_fd;	 /* of vm_open_device; inherited */
	unsigned nnets;
	struct vm_net_config nets[SANDBOX_NETS_MAX];
};

struct sandbox_process {
	pid_t pid;
	int pidfd;
	int control; /* see control.h */
};

/* Forks it into namespaces of its own. It reports by control messages. */
int sandbox_process_start(struct sandbox_process *process,
			  const struct sandbox_params *params,
			  struct err *err) MUST_CHECK;

#endif
