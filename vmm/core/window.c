/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/core/window.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/err.h"

#define PAGE 4096u
#define RESERVED (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
/*
 * A mapping that fails leaves a hole behind for a moment, and what the kernel
 * would put there, a thread's stack say, the guest would see. So windows lie
 * far below everything else: the kernel looks for room from the top.
 */
#define HINT_FIRST 0x200000000000ull
#define HINT_STEP 0x10000000000ull
#define HINTS 16u

/* Async-signal-safe. */
static bool replace_page(struct fault_span *span, uint8_t *at)
{
	struct mem_window *w = container_of(span, struct mem_window, span);
	uintptr_t page = (uintptr_t)at & ~(uintptr_t)(PAGE - 1);

	if (mmap((void *)page, PAGE, PROT_READ | PROT_WRITE,
		 RESERVED | MAP_FIXED, -1, 0) == MAP_FAILED)
		return false;
	atomic_store(&w->torn, true);
	return true;
}

static void *reserve(uint64_t size)
{
	for (unsigned i = 0; i < HINTS; i++) {
		uint64_t hint = HINT_FIRST + i * HINT_STEP;
		void *host = mmap((void *)(uintptr_t)hint, (size_t)size,
				  PROT_NONE, RESERVED, -1, 0);

		if (host == MAP_FAILED || (uintptr_t)host == hint)
			return host;
		munmap(host, (size_t)size);
	}
	/* An address space without room there, as under a sanitizer. */
	return mmap(NULL, (size_t)size, PROT_NONE, RESERVED, -1, 0);
}

int mem_window_init(struct mem_window *w, uint64_t size)
{
	void *host;
	int ret;

	BUG_ON(size == 0 || size % MEM_WINDOW_UNIT);
	memset(w, 0, sizeof(*w));
	host = reserve(size);
	if (host == MAP_FAILED)
		return -errno;
	w->span = (struct fault_span){host, size, replace_page};
	ret = fault_span_add(&w->span);
	if (ret) {
		munmap(host, (size_t)size);
		return ret;
	}
	w->host = host;
	w->size = size;
	/* A core dump is no place for the host's files. */
	(void)madvise(host, (size_t)size, MADV_DONTDUMP);
	return 0;
}

void mem_window_release(struct mem_window *w)
{
	if (!w->host)
		return;
	fault_span_del(&w->span);
	munmap(w->host, (size_t)w->size);
	w->host = NULL;
}

static void check_span(const struct mem_window *w, uint64_t off, uint64_t len)
{
	BUG_ON(len == 0 || off > w->size || len > w->size - off || off % PAGE ||
	       len % PAGE);
}

static void anonymous(struct mem_window *w, uint64_t off, uint64_t len,
		      int prot)
{
	check_span(w, off, len);
	/* Whatever comes to lie in a hole here would be the guest's. */
	if (mmap(w->host + off, (size_t)len, prot, RESERVED | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		BUG("memory window: %s", strerror(errno));
	(void)madvise(w->host + off, (size_t)len, MADV_DONTDUMP);
}

void mem_window_clear(struct mem_window *w, uint64_t off, uint64_t len)
{
	anonymous(w, off, len, PROT_NONE);
}

void mem_window_blank(struct mem_window *w, uint64_t off, uint64_t len)
{
	anonymous(w, off, len, PROT_READ | PROT_WRITE);
}

int mem_window_map(struct mem_window *w, uint64_t off, uint64_t len, int prot,
		   int fd, uint64_t file_off)
{
	void *probe;
	int ret;

	check_span(w, off, len);
	BUG_ON(file_off % PAGE || file_off > (uint64_t)INT64_MAX - len);
	/* Elsewhere first: what cannot be mapped must leave no hole. */
	probe = mmap(NULL, PAGE, prot, MAP_SHARED, fd, (off_t)file_off);
	ret = probe == MAP_FAILED ? -errno : 0;
	if (!ret) {
		munmap(probe, PAGE);
		if (mmap(w->host + off, (size_t)len, prot,
			 MAP_SHARED | MAP_FIXED, fd,
			 (off_t)file_off) == MAP_FAILED)
			ret = -errno;
	}
	if (ret)
		mem_window_clear(w, off, len);
	else
		(void)madvise(w->host + off, (size_t)len, MADV_DONTDUMP);
	return ret;
}
