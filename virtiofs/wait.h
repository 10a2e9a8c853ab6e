/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_WAIT_H
#define VIRTIOFS_WAIT_H

/*
 * Requests that wait for somebody on the host: an open of a file on which a
 * process holds a lease (fcntl(2), F_SETLEASE) waits until that gives it up, or
 * for as many seconds as /proc/sys/fs/lease-break-time says. FUSE_INTERRUPT
 * ends such a wait, with EINTR; so does the end of the device. Both come by the
 * loop: without workers that is what waits, and hears of nothing meanwhile.
 *
 * Nothing else waits for somebody: FIFOs and devices are never opened, locks
 * stay in the guest. What waits for a disk is not called off, as Linux does
 * not do it for its own file systems, either.
 */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"

/* Not fewer than the requests in work at a time (pool.h). */
#define FS_INTERRUPTS 64u

struct fs_waits {
	pthread_mutex_t lock; /* guards the fields below */
	pthread_cond_t change;
	bool over; /* nobody may wait any more */
	unsigned count;
	/* The last ones of a session, among them those that came before the
	 * wait that they are for: the queues are not in step. */
	uint64_t interrupted[FS_INTERRUPTS];
};

struct fs_inode;
struct fs_req;
struct virtiofs;

void fs_waits_init(struct fs_waits *waits);
void fs_waits_release(struct fs_waits *waits);
/* Ends all waits, and those that begin before fs_waits_allow. */
void fs_waits_end(struct fs_waits *waits);
void fs_waits_allow(struct fs_waits *waits);
/* For another session, whoever waits in this one. */
void fs_waits_forget(struct fs_waits *waits);

/* fs_reopen, unless with O_NONBLOCK or less than FS_PATIENT, waits for leases.
 */
int fs_reopen_wait(struct fs_req *req, const struct fs_inode *inode,
		   int flags) MUST_CHECK;
int fs_interrupt(struct fs_req *req);

#endif
