/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_COMPARE_PROBE_H
#define INTEGRATION_COMPARE_PROBE_H

/*
 * What a container's first process finds, as lines "key=value" in no order.
 * Values have no line breaks: what is not printable is \xNN.
 */

#include "base/compiler.h"

void tell(const char *key, const char *fmt, ...) PRINTF(2, 3);
/* key.name=the file's text, or the name of the error that reading it gives. */
void tell_file(const char *key, const char *path);

void probe_process(int argc, char **argv);
void probe_calls(void);
void probe_mounts(void);
void probe_cgroup(void);
void probe_tree(void);
void probe_devices(void);

#endif
