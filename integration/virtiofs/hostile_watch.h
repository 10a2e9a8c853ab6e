/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_WATCH_H
#define INTEGRATION_VIRTIOFS_HOSTILE_WATCH_H

/* The server's process, as the host sees it. That it is gone is the end of the
 * program. */

/* Its number, or "self". The string stays. */
void watch_process(const char *pid);
unsigned watch_descriptors(void);
/* KiB that are its own: no files, not shared, not the guest's memory. 0: it is
 * this process. */
unsigned long watch_memory(void);
/* A process of the host, for whom procfs is that of the share. */
int watch_host(void);

#endif
