/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Bytes of the well-formed sequence that s starts with (Unicode 15, table
 * 3-7: no overlong form, no surrogate, nothing above U+10FFFF), or 0.
 */
size_t utf8_char(const char *s, size_t len);
bool utf8_valid(const char *s, size_t len);

#endif
