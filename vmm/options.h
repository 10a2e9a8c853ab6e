/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_OPTIONS_H
#define VMM_OPTIONS_H

/*
 * The command line of nacre-vmm, in Cloud Hypervisor's spelling. What is not
 * in the tables of options.c is refused by name.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

#define VMM_DISKS_MAX 8u
#define VMM_NETS_MAX 8u

struct vmm_disk {
	const char *path;
	bool readonly;
};

struct vmm_net {
	const char *tap;
	uint8_t mac[6];
};

/* Strings point into argv, whose values are cut at their commas. */
struct vmm_options {
	const char *kernel;
	const char *initramfs; /* NULL: none */
	const char *cmdline;
	unsigned cpus;
	uint64_t memory;
	bool thp;
	bool rng;
	bool serial;
	bool console;
	uint32_t vsock_cid; /* 0: none */
	const char *vsock_socket;
	unsigned ndisks;
	struct vmm_disk disks[VMM_DISKS_MAX];
	unsigned nnets;
	struct vmm_net nets[VMM_NETS_MAX];
	bool verbose;
	bool help;
	bool version;
};

int vmm_options_parse(struct vmm_options *options, int argc, char **argv,
		      struct err *err) MUST_CHECK;
extern const char vmm_options_usage[];

#endif
