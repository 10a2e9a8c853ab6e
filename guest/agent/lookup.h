/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_LOOKUP_H
#define GUEST_AGENT_LOOKUP_H

/*
 * Finds the file to execute as exec.LookPath of Go does, whose words users
 * and engines know from other runtimes: exec: "x": executable file not found
 * in $PATH. Relative to the calling process's root and directory.
 */

#include <stddef.h>

#include "base/compiler.h"
#include "base/err.h"

/* NULL when env (n entries) has no such variable. */
const char *env_get(char *const *env, size_t n, const char *name);
int lookup_executable(const char *file, const char *path, char *out,
		      size_t size, struct err *err) MUST_CHECK;

#endif
