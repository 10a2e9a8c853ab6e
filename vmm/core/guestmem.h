/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CORE_GUESTMEM_H
#define VMM_CORE_GUESTMEM_H

/*
 * Guest physical memory: a few non-overlapping regions, each one mapping, of a
 * memfd or of memory that is this process's alone. One function translates
 * (address, length): it subtracts before it compares, never wraps, and a span
 * never crosses a region. No pointer leaves this file without its length.
 *
 * Beside RAM there may be a window onto files (vmm/core/window.h): buffers may
 * lie there, as Linux gives devices the pages of a program's mapping, but no
 * ring does.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/err.h"

#define GUESTMEM_REGIONS_MAX 8

struct guestmem_guard;

struct guestmem_region {
	uint64_t gpa;
	uint64_t size;
	uint8_t *host;
	int fd;		 /* owned, for who shares it; -1: nobody can */
	uint64_t offset; /* of `host` in fd */
	bool borrowed;	 /* the mapping */
	struct guestmem_guard *guard; /* NULL: it stays as long as it is */
};

struct guestmem {
	unsigned count;
	struct guestmem_region regions[GUESTMEM_REGIONS_MAX];
	struct guestmem_region window; /* size 0: none; not RAM */
	bool guarded;
	int cut_fd; /* borrowed */
};

void guestmem_init(struct guestmem *mem);
/*
 * Whoever gives the files of regions that are added from now on may cut them
 * short. Once this process finds no memory in one, it is a region of zeros, and
 * this eventfd is written to.
 */
void guestmem_guard(struct guestmem *mem, int cut_fd);
/* Whether one was. */
bool guestmem_cut(const struct guestmem *mem);
/* Takes fd in every case and maps it shared. size, offset: multiples of the
 * page, a huge one where fd is of those. Other threads may translate meanwhile.
 */
int guestmem_add(struct guestmem *mem, uint64_t gpa, uint64_t size, int fd,
		 uint64_t offset, struct err *err) MUST_CHECK;
/* A new sealed memfd of that size, then guestmem_add. */
int guestmem_add_new(struct guestmem *mem, uint64_t gpa, uint64_t size,
		     struct err *err) MUST_CHECK;
/*
 * New memory of this process alone, without the file's bookkeeping for each
 * page. huge: in transparent huge pages where the host has them to give, else
 * in small ones even if it would give others; a huge page is touched for the
 * first time, and translated, as one.
 */
int guestmem_add_private(struct guestmem *mem, uint64_t gpa, uint64_t size,
			 bool huge, struct err *err) MUST_CHECK;
/* Borrows memory that the caller mapped (tests, fuzzers). */
int guestmem_add_borrowed(struct guestmem *mem, uint64_t gpa, void *host,
			  uint64_t size) MUST_CHECK;
/* Borrows it. -EEXIST: it would overlap RAM, or there is one already. */
int guestmem_set_window(struct guestmem *mem, uint64_t gpa, void *host,
			uint64_t size) MUST_CHECK;
void guestmem_release(struct guestmem *mem);

/* -EFAULT unless [gpa, gpa+len) lies in one region. len 0 is -EFAULT. */
int guestmem_iov(const struct guestmem *mem, uint64_t gpa, uint64_t len,
		 struct iovec *iov) MUST_CHECK;
/* The same for the buffer of a request: in one region, or in the window. */
int guestmem_buffer_iov(const struct guestmem *mem, uint64_t gpa, uint64_t len,
			struct iovec *iov) MUST_CHECK;
int guestmem_read(const struct guestmem *mem, uint64_t gpa, void *dst,
		  size_t len) MUST_CHECK;
int guestmem_write(const struct guestmem *mem, uint64_t gpa, const void *src,
		   size_t len) MUST_CHECK;

#endif
