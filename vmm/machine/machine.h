/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_MACHINE_MACHINE_H
#define VMM_MACHINE_MACHINE_H

/*
 * What a kind of machine does for struct vm. `kvm` and `uml` are the two
 * rows of machine_table[] (machine.c). A machine embeds struct machine.
 */

#include "base/compiler.h"
#include "base/err.h"
#include "vmm/vmm.h"

struct machine;

struct machine_ops {
	const char *name;
	/* 0 if this host can run it; else err says what to change. */
	int (*probe)(struct err *err);
	/* What create() opens, if not given; NULL: nothing. */
	int (*open_device)(struct err *err);
	/* Makes the machine: memory, vCPUs, transports' grounds. */
	struct machine *(*create)(struct vm *vm, struct err *err);
	/* Gives a device its transport; the vm owns the device. */
	int (*plug)(struct machine *m, struct virtio_device *dev,
		    struct err *err);
	/* Loads the kernel and runs it. Under the sandbox's seccomp. */
	int (*start)(struct machine *m, struct err *err);
	int (*pause)(struct machine *m, struct err *err);
	int (*resume)(struct machine *m, struct err *err);
	/* Ends it; exited() comes by vm_exited(). Idempotent. */
	void (*stop)(struct machine *m);
	/* Returns when no thread or process of it is left. */
	void (*destroy)(struct machine *m);
};

struct machine {
	const struct machine_ops *ops;
	struct vm *vm;
};

extern const struct machine_ops kvm_machine_ops;
extern const struct machine_ops uml_machine_ops;

/* NULL: no machine of that name. */
const struct machine_ops *machine_find(const char *name);

#endif
