/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_GROUPS_H
#define INTEGRATION_VIRTIOFS_HOSTILE_GROUPS_H

/* Each begins with a fresh session and leaves one. */

/* hostile_requests.c: what requests say. */
void group_session(void);
void group_names(void);
void group_nodes(void);
void group_handles(void);
void group_lengths(void);
/* hostile_layout.c: where they lie. */
void group_layout(void);
void group_rings(void);
/* hostile_files.c: what they are about. */
void group_kinds(void);
void group_links(void);
void group_mounts(void);
void group_magic(void);
void group_readonly(void);
/* hostile_limits.c: how much of it. */
void group_limits(void);
void group_forget(void);
void group_caps(void);
void group_dax(void);
/* hostile_queues.c: several of them at once. */
void group_queues(void);
/* hostile_registers.c: the device's, in a real guest. */
void group_registers(void);
void group_memory(void);
/* hostile_flips.c: memory that changes. */
void group_flips(void);
/* hostile_random.c: all of it, and what the host does meanwhile. */
void group_race(void);
void group_noise(void);

#endif
