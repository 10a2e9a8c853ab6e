/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RUNTIME_SANDBOX_SHARE_H
#define RUNTIME_SANDBOX_SHARE_H

/*
 * Binds into the shared tree. The sandbox process has a slave copy of it, and
 * a mount's flags travel only at the moment when it is attached: what must be
 * read-only is made so before.
 */

#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"

/*
 * Binds what from (O_PATH) names on target: no devices, no set-id bits, and
 * read-only all the way down if asked. The flags of the source stay.
 */
int share_bind(int from, const char *target, bool recursive, bool read_only,
	       struct err *err) MUST_CHECK;

#endif
