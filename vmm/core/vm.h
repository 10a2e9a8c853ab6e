/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CORE_VM_H
#define VMM_CORE_VM_H

/* The inside of struct vm, for machines. */

#include <pthread.h>

#include "vmm/core/guestmem.h"
#include "vmm/machine/machine.h"
#include "vmm/vmm.h"

#define VM_DEVICES_MAX 31u

struct vm {
	struct vm_config config; /* owns cmdline, kernel_fd, initramfs_fd */
	char *cmdline;
	struct guestmem mem;
	struct machine *machine;
	unsigned ndevices;
	struct virtio_device *devices[VM_DEVICES_MAX];
	bool started;

	/* The loop's. */
	bool exit_ran;
	bool freeing;
	struct evpost exit_post;

	pthread_mutex_t exit_lock; /* guards the rest */
	bool exit_reported;
	enum vm_exit_reason exit_reason;
	char exit_text[256];
};

/* From any thread; the first call counts. Posts exited() to the loop. */
void vm_exited(struct vm *vm, enum vm_exit_reason reason, const char *fmt, ...)
	PRINTF(3, 4);
/* Runs the thread_started callback; 0 or -errno (then the thread ends). */
int vm_thread_started(struct vm *vm, const char *name);
/* On a vCPU's thread, before thread_started: tells the devices. 0 or -errno. */
int vm_vcpu_started(struct vm *vm, unsigned vcpu);
/* From any thread: calls the console callback on the loop. */
void vm_console_output(struct vm *vm, const void *data, size_t len);

#endif
