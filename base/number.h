/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stdint.h>

#include "base/compiler.h"

/* A number as people write one: decimal digits and nothing else, up to max.
 * -EINVAL: it is none, and *out has no meaning. */
int number_parse(const char *text, uint64_t max, uint64_t *out) MUST_CHECK;

#endif
