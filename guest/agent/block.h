/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_BLOCK_H
#define GUEST_AGENT_BLOCK_H

/* Block devices as the protocol names them: a PCI path, or /dev/NAME. */

#include <sys/types.h>

#include "base/compiler.h"
#include "base/err.h"

#define BLOCK_PATH_MAX 128

/* The path of its node, and its number (may be NULL). 0; -EAGAIN with err:
 * it is not there yet; or -errno with err. */
int block_find(const char *source, char path[BLOCK_PATH_MAX], dev_t *dev,
	       struct err *err) MUST_CHECK;

#endif
