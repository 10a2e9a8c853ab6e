/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_INPUT_H
#define TESTS_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/compiler.h"

struct input {
	const uint8_t *data;
	size_t left;
};

/* Zero bytes follow the end. */
static inline void take(struct input *in, void *dst, size_t len)
{
	size_t n = MIN(len, in->left);

	memset(dst, 0, len);
	memcpy(dst, in->data, n);
	in->data += n;
	in->left -= n;
}

#endif
