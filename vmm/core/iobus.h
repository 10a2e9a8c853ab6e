/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CORE_IOBUS_H
#define VMM_CORE_IOBUS_H

/*
 * An address space of device registers: ports or memory-mapped I/O. Devices
 * are added before the vCPUs run and stay where they are; accesses come from
 * any vCPU thread, and each device does its own locking.
 */

#include <stdint.h>

#include "base/compiler.h"

#define IOBUS_DEVICES_MAX 48u

struct iodev;

struct iodev_ops {
	/* len is 1, 2, 4 or 8; off + len <= size. Alignment is not checked. */
	uint64_t (*read)(struct iodev *dev, uint64_t off, unsigned len);
	void (*write)(struct iodev *dev, uint64_t off, unsigned len,
		      uint64_t value);
};

struct iodev {
	const struct iodev_ops *ops;
	uint64_t base;
	uint64_t size;
};

struct iobus {
	unsigned count;
	struct iodev *devices[IOBUS_DEVICES_MAX]; /* by base */
};

/* -EINVAL: empty or wrapping range, -EEXIST: overlap, -ENOSPC: full. */
int iobus_add(struct iobus *bus, struct iodev *dev, uint64_t base,
	      uint64_t size) MUST_CHECK;
/* Before the vCPUs run. */
void iobus_del(struct iobus *bus, struct iodev *dev);
/*
 * data holds len bytes in the guest's order. What no device answers, and what
 * crosses the end of a device, reads as ones and is dropped when written.
 */
void iobus_read(const struct iobus *bus, uint64_t addr, void *data,
		unsigned len);
void iobus_write(const struct iobus *bus, uint64_t addr, const void *data,
		 unsigned len);

#endif
