/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_VMM_H
#define VMM_VMM_H

/*
 * The VMM library: one virtual machine in this process.
 *
 *	vm_new      opens what it needs and makes the machine (privileged)
 *	vm_add_*    plugs devices in
 *	            ... the process gives up its privileges here ...
 *	vm_start    loads the kernel, starts the vCPUs
 *	exited()    once, on the loop: the machine is over, and why
 *	vm_free
 *
 * All calls belong to the thread that runs the loop. Device models run on
 * that loop; each vCPU has a thread of its own.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "base/evloop.h"

struct vm;
struct virtio_device;

enum vm_exit_reason {
	VM_EXIT_SHUTDOWN, /* the guest powered off */
	VM_EXIT_RESET,	  /* the guest asked for a reset, or triple-faulted */
	VM_EXIT_STOPPED,  /* vm_stop */
	VM_EXIT_ERROR,	  /* the machine failed; text says how */
};

struct vm_callbacks {
	/* On the loop, once. text: one line, valid during the call. */
	void (*exited)(void *arg, enum vm_exit_reason reason, const char *text);
	/* Bytes the guest wrote to its console (serial or virtio). */
	void (*console)(void *arg, const void *data, size_t len);
	/* On each new thread, before it does any work: "vcpu0", "fs1". The
	 * place to install a seccomp filter. May be NULL. */
	int (*thread_started)(void *arg, const char *name);
	void *arg;
};

#define VM_VCPUS_MAX 64u

struct vm_config {
	const char *machine; /* "kvm" or "uml" */
	unsigned vcpus;	     /* 1..VM_VCPUS_MAX */
	uint64_t memory;     /* bytes, multiple of 2 MiB, at least 64 MiB */
	bool huge_pages;     /* kvm: transparent ones for it, where there are */
	int kernel_fd;	     /* taken: ELF with a PVH note, bzImage; uml: ELF */
	int initramfs_fd;    /* taken; -1: none */
	const char *cmdline; /* the vm adds what its devices need */
	bool unsafe_uml_kernel; /* uml: run one that is not of our build */
	int device_fd;		/* taken: of vm_open_device; 0, -1: none */
	bool serial;		/* kvm: a 16550 at 0x3f8 for early messages */
	struct evloop *loop;	/* borrowed */
	struct vm_callbacks callbacks;
};

/*
 * Whether this host can run the machine, in words for a user: 0, or -errno
 * with a text that says what to change.
 */
int vm_probe(const char *machine, struct err *err) MUST_CHECK;
/* The first machine this host can run well: "kvm", "uml" or NULL. */
const char *vm_auto_machine(struct err *err);

/*
 * Opens the device that vm_new would open, for a process that will not be let
 * near it, by a device controller say. *fd: -1 when there is none.
 */
int vm_open_device(const char *machine, int *fd, struct err *err) MUST_CHECK;

/*
 * NULL: err. Takes the descriptors in every case. The uml machine is made by a
 * fork, whose child allocates: no other thread may run, as it could hold the
 * allocator's lock just then, for ever in the child.
 */
struct vm *vm_new(const struct vm_config *config, struct err *err);
/* Stops it when it runs; returns when all threads are gone. */
void vm_free(struct vm *vm);

/* Takes the device in every case. Only before vm_start. */
int vm_add_device(struct vm *vm, struct virtio_device *dev,
		  struct err *err) MUST_CHECK;
int vm_add_rng(struct vm *vm, struct err *err) MUST_CHECK;
int vm_add_console(struct vm *vm, struct err *err) MUST_CHECK;
/*
 * Hybrid vsock: accepts on listen_fd (taken; a listening Unix socket) the
 * host's calls ("CONNECT <port>\n"); the guest's calls to CID 2 port P go to
 * the Unix socket "<prefix>_P", relative to the working directory.
 */
int vm_add_vsock(struct vm *vm, uint32_t cid, int listen_fd, const char *prefix,
		 struct err *err) MUST_CHECK;

struct vm_net_config {
	int tap_fd; /* taken; IFF_TAP|IFF_NO_PI|IFF_VNET_HDR, header set */
	uint8_t mac[6];
	uint16_t mtu; /* 0: not announced */
};
int vm_add_net(struct vm *vm, const struct vm_net_config *net,
	       struct err *err) MUST_CHECK;

struct vm_blk_config {
	int fd; /* taken; raw image */
	bool readonly;
	const char *serial; /* up to 20 bytes */
};
int vm_add_blk(struct vm *vm, const struct vm_blk_config *blk,
	       struct err *err) MUST_CHECK;

int vm_start(struct vm *vm, struct err *err) MUST_CHECK;
int vm_pause(struct vm *vm, struct err *err) MUST_CHECK;
int vm_resume(struct vm *vm, struct err *err) MUST_CHECK;
/* Ends the machine at once; exited() follows with VM_EXIT_STOPPED. */
void vm_stop(struct vm *vm);

#endif
