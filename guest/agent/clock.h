/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_CLOCK_H
#define GUEST_AGENT_CLOCK_H

/* What a clone of a guest must not keep: the time, and random state. */

#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"

#define ENTROPY_MAX 4096

int clock_set(int64_t sec, int64_t usec, struct err *err) MUST_CHECK;
/* Credits the bytes and has the kernel's generator take a new key. */
int entropy_add(const void *data, size_t len, struct err *err) MUST_CHECK;

#endif
