/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LANDLOCK_H
#define BASE_LANDLOCK_H

/*
 * Landlock: files below one directory and no others, for this thread and
 * those it starts. Needs no_new_privs. A second wall behind the empty root:
 * it holds for descriptors from before the jail as well, when these are
 * opened again.
 */

#include "base/compiler.h"
#include "base/err.h"

/* 0 also where the kernel has no Landlock that knows renames (5.19). */
int landlock_confine(int dir_fd, struct err *err) MUST_CHECK;

#endif
