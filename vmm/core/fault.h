/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_CORE_FAULT_H
#define VMM_CORE_FAULT_H

/*
 * Mapped files of others, which these may cut short at any time. A page behind
 * the end is no memory any more: for this process SIGBUS, or SIGSEGV where
 * nothing is mapped. Whoever mapped them puts something else there, and the
 * access goes on. What lies in no span goes the way it went before.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* In one process. */
#define FAULT_SPANS_MAX 32u

struct fault_span {
	uint8_t *host;
	uint64_t size;
	/* In the signal's handler, on the thread that found nothing at that
	 * address. False: there is no help. */
	bool (*replace)(struct fault_span *span, uint8_t *at);
};

/* Borrows span until fault_span_del. 0 or -errno; -ENOSPC: too many. */
int fault_span_add(struct fault_span *span) MUST_CHECK;
/* Nobody looks into it any more. What was not added may be given, too. */
void fault_span_del(struct fault_span *span);

#endif
