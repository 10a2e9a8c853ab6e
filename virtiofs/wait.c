/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "virtiofs/name.h"
#include "virtiofs/server.h"

/* From one try to the next. */
#define TRY_MIN_MS 2u
#define TRY_MAX_MS 64u

void fs_waits_init(struct fs_waits *waits)
{
	pthread_mutex_init(&waits->lock, NULL);
	pthread_cond_init(&waits->change, NULL);
}

void fs_waits_release(struct fs_waits *waits)
{
	pthread_cond_destroy(&waits->change);
	pthread_mutex_destroy(&waits->lock);
}

void fs_waits_end(struct fs_waits *waits)
{
	pthread_mutex_lock(&waits->lock);
	waits->over = true;
	pthread_cond_broadcast(&waits->change);
	pthread_mutex_unlock(&waits->lock);
}

void fs_waits_allow(struct fs_waits *waits)
{
	pthread_mutex_lock(&waits->lock);
	waits->over = false;
	pthread_mutex_unlock(&waits->lock);
}

void fs_waits_forget(struct fs_waits *waits)
{
	pthread_mutex_lock(&waits->lock);
	/* Another session counts its requests from the start. */
	waits->count = 0;
	pthread_mutex_unlock(&waits->lock);
}

/* With the lock. */
static bool is_interrupted(const struct fs_waits *waits, uint64_t unique)
{
	unsigned n = MIN(waits->count, FS_INTERRUPTS);

	for (unsigned i = 0; i < n; i++) {
		if (waits->interrupted[i] == unique)
			return true;
	}
	return waits->over;
}

/*
 * Only what waits here takes notice. A request that waits for nobody ends
 * soon, and the guest's programs do not expect EINTR of most calls.
 */
int fs_interrupt(struct fs_req *req)
{
	const struct fuse_interrupt_in *in = req->args;
	struct fs_waits *waits = &req->fs->waits;

	pthread_mutex_lock(&waits->lock);
	waits->interrupted[waits->count % FS_INTERRUPTS] = in->unique;
	/* Once they are all in use, they stay so. */
	if (++waits->count == 2 * FS_INTERRUPTS)
		waits->count = FS_INTERRUPTS;
	pthread_cond_broadcast(&waits->change);
	pthread_mutex_unlock(&waits->lock);
	return 0;
}

static int wait_for(struct fs_req *req, unsigned ms)
{
	struct fs_waits *waits = &req->fs->waits;
	struct timespec end;
	bool stop;
	int ret = 0;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += (long)ms * 1000000;
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	pthread_mutex_lock(&waits->lock);
	while (!(stop = is_interrupted(waits, req->in.unique)) && !ret)
		ret = pthread_cond_clockwait(&waits->change, &waits->lock,
					     CLOCK_MONOTONIC, &end);
	pthread_mutex_unlock(&waits->lock);
	return stop ? -EINTR : 0;
}

/*
 * The end of a lease is no event that a condition could wait for, beside
 * another one: the host tells whom it lets open the file. O_NONBLOCK means
 * nothing to what is opened here, once it is open.
 */
int fs_reopen_wait(struct fs_req *req, const struct fs_inode *inode, int flags)
{
	unsigned ms = TRY_MIN_MS;
	int ret = 0;
	int fd;

	for (;;) {
		fd = fs_reopen(req->fs, inode, flags | O_NONBLOCK);
		if (fd != -EWOULDBLOCK || (flags & O_NONBLOCK) ||
		    req->patience != FS_PATIENT)
			return fd;
		ret = wait_for(req, ms);
		if (ret)
			return ret;
		ms = MIN(2 * ms, TRY_MAX_MS);
	}
}
