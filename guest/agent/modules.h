/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_MODULES_H
#define GUEST_AGENT_MODULES_H

/* Kernel modules, as plain files in MODULES_DIR. */

#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"

#define MODULES_DIR "/lib/modules"

/* The module `name` (its file is name.ko) with parameters. One that is there
 * already is fine. */
int module_load(const char *name, char *const *parameters, size_t n,
		struct err *err) MUST_CHECK;
/* Those of MODULES_DIR/order, file names one a line; no such file: none. A
 * module that fails is told on the log; so is what they took. */
void modules_load_all(void);

#endif
