/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GUEST_AGENT_COPY_UP_H
#define GUEST_AGENT_COPY_UP_H

/*
 * The mount option tmpcopyup: a tmpfs starts with what the directory below it
 * holds. Files, directories, symbolic links and named pipes, with mode, owner
 * and time of change.
 */

#include "base/compiler.h"

/* Both are open directories, O_PATH will do. -errno. */
int copy_up(int from, int to) MUST_CHECK;

#endif
