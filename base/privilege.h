/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_PRIVILEGE_H
#define BASE_PRIVILEGE_H

/* Giving up what a process or a thread does not need. */

#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

#define CAP_MASK(cap) (1ull << (cap))

/* Of the calling thread. */
uint64_t privilege_permitted(void);
/* Effective and permitted set of the calling thread. 0 or -errno. */
int privilege_set(uint64_t caps) MUST_CHECK;
/*
 * Of a process with one thread: no supplementary group (as far as its user
 * namespace lets it), an empty bounding set, of the wanted capabilities those
 * that it has, no_new_privs.
 */
int privilege_reduce(uint64_t wanted, struct err *err) MUST_CHECK;

#endif
