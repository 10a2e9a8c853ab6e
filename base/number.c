/* SPDX-License-Identifier: Apache-2.0 */
#include "base/number.h"

#include <errno.h>
#include <stdlib.h>

int number_parse(const char *text, uint64_t max, uint64_t *out)
{
	char *end;

	/* strtoull takes blanks and signs, and "-1" for the largest value. */
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno || *end || *out > max ? -EINVAL : 0;
}
