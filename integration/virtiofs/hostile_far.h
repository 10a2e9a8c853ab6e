/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_FAR_H
#define INTEGRATION_VIRTIOFS_HOSTILE_FAR_H

/*
 * What the host does for a program in a guest: hostile_tree.h and
 * hostile_watch.h, by a connection that is standard output as well. The guest
 * sends lines for people, and requests: FAR_ASK, a word. The host answers with
 * what is wrong, a line each, FAR_WRONG before it, and the end: FAR_DONE and a
 * number.
 */

#define FAR_PORT 5000u /* of the guest's vsock */
#define FAR_ASK '\001'
#define FAR_WRONG '!'
#define FAR_DONE '='
#define FAR_LINE 512u /* bytes, with the newline */

/* The guest's end: waits for the host, and takes standard output and error. */
void far_accept(void);
/* All is done; number: of what is not ok. */
void far_end(unsigned number);

#endif
