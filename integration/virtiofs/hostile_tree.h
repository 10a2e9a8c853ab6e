/* SPDX-License-Identifier: Apache-2.0 */
#ifndef INTEGRATION_VIRTIOFS_HOSTILE_TREE_H
#define INTEGRATION_VIRTIOFS_HOSTILE_TREE_H

/*
 * What the host has: the share, and beside it what the guest must not reach.
 *
 *	outside/secret, victim, sub/inner	the secret is in each
 *	outside/mounted				mounted on share/mnt, if asked
 *	share/alive				what a living server serves
 *	share/d, f, fifo, sock, zero		of each kind one
 *	share/up, abs, sec, rel, self, fd	links to outside
 *	share/swap, file, node			change places with .swap, .file,
 *						.node while the racer runs
 */

#include <stdbool.h>
#include <stddef.h>

#define TREE_ALIVE "alive and well"
#define TREE_MANY 1500u
#define TREE_SECRET "S3CRET-4f1c9a7e-0b52-canary-outside-of-the-share"

void tree_make(void);
/* The share as it was made; what the guest did there goes. */
void tree_repair(void);
/* Says what of outside is not as it was. */
void tree_check(void);
/* The same of the share, from now on: for servers that are read-only. */
void tree_share_note(void);
void tree_share_check(void);

/* Many files, in share/d/sub: there from now on, or no more. */
void tree_many(bool there);

/* A thread of the host that swaps names, links and directories. */
void tree_racer_start(void);
void tree_racer_stop(void);
unsigned long tree_races(void);

#endif
