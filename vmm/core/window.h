/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CORE_WINDOW_H
#define VMM_CORE_WINDOW_H

/*
 * Addresses that a guest sees beside its RAM, and behind which a device maps
 * files as it goes (the DAX window of virtio-fs). They are reserved as a whole
 * once, without access, and the machine makes one memory slot of them.
 *
 * A mapped file may be cut short at any time, and a page behind its end is no
 * memory any more. The guest's own accesses then make its vCPU stop; those of
 * this process, for a request whose buffer lies in the window, are a fault
 * (vmm/core/fault.h): the page is replaced by one of zeros, and `torn` tells
 * the device that it was.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "vmm/core/fault.h"

/* Size and alignment of windows. */
#define MEM_WINDOW_UNIT (2ull << 20)

struct mem_window {
	uint8_t *host;
	uint64_t size;
	atomic_bool torn;
	struct fault_span span;
};

/* size: units. 0 or -errno; -ENOSPC: there are too many. */
int mem_window_init(struct mem_window *w, uint64_t size) MUST_CHECK;
void mem_window_release(struct mem_window *w);

/* No access to [off, off + len), which lies in the window, in whole pages. */
void mem_window_clear(struct mem_window *w, uint64_t off, uint64_t len);
/* Zeros there, to read and to write. */
void mem_window_blank(struct mem_window *w, uint64_t off, uint64_t len);
/*
 * The file's bytes from file_off on, in whole pages; prot as for mmap. 0 or
 * -errno: there is no access then.
 */
int mem_window_map(struct mem_window *w, uint64_t off, uint64_t len, int prot,
		   int fd, uint64_t file_off) MUST_CHECK;

#endif
