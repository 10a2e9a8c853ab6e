/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/core/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Changed under `lock`, read by the signal handler. */
static _Atomic(struct fault_span *) spans[FAULT_SPANS_MAX];
static const int signals[] = {SIGBUS, SIGSEGV};
static struct sigaction before[ARRAY_SIZE(signals)];

static struct fault_span *span_at(const uint8_t *at)
{
	for (unsigned i = 0; i < FAULT_SPANS_MAX; i++) {
		struct fault_span *s = atomic_load(&spans[i]);

		if (s && (uintptr_t)at >= (uintptr_t)s->host &&
		    (uintptr_t)at - (uintptr_t)s->host < s->size)
			return s;
	}
	return NULL;
}

/* Async-signal-safe. */
static void on_fault(int signo, siginfo_t *info, void *context)
{
	struct fault_span *s = span_at(info->si_addr);
	int saved = errno;

	if (!s || !s->replace(s, info->si_addr))
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

int fault_span_add(struct fault_span *span)
{
	unsigned i = 0;
	int ret;

	pthread_mutex_lock(&lock);
	ret = handle_faults();
	while (i < FAULT_SPANS_MAX && atomic_load(&spans[i]))
		i++;
	if (!ret && i == FAULT_SPANS_MAX)
		ret = -ENOSPC;
	if (!ret)
		atomic_store(&spans[i], span);
	pthread_mutex_unlock(&lock);
	return ret;
}

void fault_span_del(struct fault_span *span)
{
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < FAULT_SPANS_MAX; i++) {
		if (atomic_load(&spans[i]) == span)
			atomic_store(&spans[i], NULL);
	}
	pthread_mutex_unlock(&lock);
}
