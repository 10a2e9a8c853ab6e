/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_AGENT_QMP_H
#define INTEGRATION_AGENT_QMP_H

/*
 * QEMU's monitor: commands in JSON, and the events that come meanwhile, which
 * are kept until they are asked for. A monitor that is gone or silent ends the
 * program.
 */

#include <stdbool.h>

#include "base/compiler.h"

void qmp_connect(const char *path);
/* One command as JSON; false: refused, which is printed. */
bool qmp(const char *fmt, ...) PRINTF(1, 2);
/* Waits for an event with both texts in its line, and takes it. */
bool qmp_event(const char *name, const char *part);

#endif
