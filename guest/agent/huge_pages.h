/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_HUGE_PAGES_H
#define GUEST_AGENT_HUGE_PAGES_H

/* The kernel's pools of huge pages, one for each size. */

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

/* n pages of so many bytes more. *added is how many that has brought, in
 * failure too. */
int huge_pages_add(uint64_t page, uint64_t n, uint64_t *added,
		   struct err *err) MUST_CHECK;
int huge_pages_remove(uint64_t page, uint64_t n, struct err *err) MUST_CHECK;

#endif
