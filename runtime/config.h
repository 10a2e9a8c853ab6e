/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_CONFIG_H
#define RUNTIME_CONFIG_H

/*
 * configuration.json: the administrator's settings. The first that exists of
 * --config FILE, $XDG_CONFIG_HOME/nacre/configuration.json (when not root),
 * /etc/nacre/configuration.json; otherwise the built-in defaults. Comments
 * are allowed. An unknown key is an error that names the nearest one.
 */

#include <stdbool.h>
#include <stdint.h>

#include "agent-proto/oci.pb-c.h"
#include "base/compiler.h"
#include "base/err.h"

struct config {
	char *path;    /* file it came from; NULL: defaults */
	char *machine; /* "auto", "kvm" or "uml" */
	char *kernel;  /* of machine kvm */
	char *initrd;
	char *uml_kernel;
	char *kernel_params;
	bool unsafe_stock_uml_kernel;

	uint32_t default_vcpus;
	uint32_t default_memory;    /* MiB */
	uint32_t overhead_memory;   /* MiB, added to the sum of limits */
	bool transparent_hugepages; /* for guest memory, on kvm */

	char *virtio_fs_cache; /* never, auto, metadata, always */
	uint32_t virtio_fs_workers;
	bool virtio_fs_on_vcpus;
	uint32_t virtio_fs_request_queues;
	bool virtio_fs_writeback;
	char *virtio_fs_inode_file_handles; /* never, prefer, mandatory */
	uint32_t virtio_fs_cache_size;	    /* MiB of the DAX window; 0: none */

	char *file_events;	    /* none, kubernetes, all */
	uint32_t file_events_limit; /* directories and files of a sandbox */

	char *internetworking_model; /* tcfilter, none */
	bool disable_seccomp;	     /* of the sandbox process */
	bool disable_guest_seccomp;
	bool use_passfd_io;    /* standard streams as connections */
	bool enable_debug;     /* guest console in the log */
	uint32_t dial_timeout; /* s: the agent must answer by then */
	uint32_t create_container_timeout; /* s */

	size_t n_enable_annotations;
	char **enable_annotations; /* names after io.katacontainers.config. */
};

/* path NULL: look in the usual places. NULL: err. */
struct config *config_load(const char *path, struct err *err);
void config_free(struct config *config);
/*
 * Applies io.katacontainers.config.* annotations. One that the administrator
 * did not enable, or does not exist, is an error that names it.
 */
int config_annotate(struct config *config, const Oci__Spec *spec,
		    struct err *err) MUST_CHECK;

#endif
