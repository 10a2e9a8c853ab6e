/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/core/window.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
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

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Changed under `lock`, read by the signal handler. */
static _Atomic(struct mem_window *) windows[MEM_WINDOWS_MAX];
static const int signals[] = {SIGBUS, SIGSEGV};
static struct sigaction before[ARRAY_SIZE(signals)];

static struct mem_window *window_at(uintptr_t address)
{
	for (unsigned i = 0; i < MEM_WINDOWS_MAX; i++) {
		struct mem_window *w = atomic_load(&windows[i]);

		if (w && address >= (uintptr_t)w->host &&
		    address - (uintptr_t)w->host < w->size)
			return w;
	}
	return NULL;
}

/* Async-signal-safe. What is no window's goes the way it went before. */
static void on_fault(int signo, siginfo_t *info, void *context)
{
	uintptr_t address = (uintptr_t)info->si_addr;
	struct mem_window *w = window_at(address);
	int saved = errno;

	if (w && mmap((void *)(address & ~(uintptr_t)(PAGE - 1)), PAGE,
		      PROT_READ | PROT_WRITE, RESERVED | MAP_FIXED, -1,
		      0) != MAP_FAILED)
		atomic_store(&w->torn, true);
	else
		sigaction(signo, &before[signo == signals[1]], NULL);
	errno = saved;
}

static int handle_faults(void)
{
	struct sigaction action = {
		.sa_sigaction = on_fault,
		.sa_flags = SA_SIGINFO | SA_RESTART,
	};

	sigemptyset(&action.sa_mask);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
		struct sigaction old;

		if (sigaction(signals[i], &action, &old) < 0)
			return -errno;
		if (old.sa_sigaction != on_fault)
			before[i] = old;
	}
	return 0;
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
	unsigned i = 0;
	void *host;
	int ret;

	BUG_ON(size == 0 || size % MEM_WINDOW_UNIT);
	memset(w, 0, sizeof(*w));
	pthread_mutex_lock(&lock);
	ret = handle_faults();
	while (i < MEM_WINDOWS_MAX && atomic_load(&windows[i]))
		i++;
	if (!ret && i == MEM_WINDOWS_MAX)
		ret = -ENOSPC;
	if (!ret) {
		host = reserve(size);
		ret = host == MAP_FAILED ? -errno : 0;
	}
	if (!ret) {
		w->host = host;
		w->size = size;
		/* A core dump is no place for the host's files. */
		(void)madvise(host, (size_t)size, MADV_DONTDUMP);
		atomic_store(&windows[i], w);
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

void mem_window_release(struct mem_window *w)
{
	if (!w->host)
		return;
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < MEM_WINDOWS_MAX; i++) {
		if (atomic_load(&windows[i]) == w)
			atomic_store(&windows[i], NULL);
	}
	pthread_mutex_unlock(&lock);
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
