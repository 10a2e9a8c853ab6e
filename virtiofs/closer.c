/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/closer.h"

#include <sys/eventfd.h>
#include <unistd.h>

void fs_closer_init(struct fs_closer *closer)
{
	pthread_mutex_init(&closer->lock, NULL);
	closer->call_fd = -1;
	closer->busy = false;
	closer->n = 0;
}

void fs_closer_release(struct fs_closer *closer)
{
	fs_closer_run(closer);
	pthread_mutex_destroy(&closer->lock);
}

void fs_closer_call(struct fs_closer *closer, int call_fd)
{
	pthread_mutex_lock(&closer->lock);
	closer->call_fd = call_fd;
	pthread_mutex_unlock(&closer->lock);
	if (call_fd < 0)
		fs_closer_run(closer);
}

bool fs_closer_add(struct fs_closer *closer, int fd)
{
	bool taken;

	pthread_mutex_lock(&closer->lock);
	taken = closer->call_fd >= 0 && closer->n < FS_CLOSER_MAX;
	if (taken) {
		closer->fds[closer->n++] = fd;
		/* Fails only when the counter is full: it is readable. */
		if (!closer->busy)
			eventfd_write(closer->call_fd, 1);
	}
	pthread_mutex_unlock(&closer->lock);
	return taken;
}

void fs_closer_run(struct fs_closer *closer)
{
	pthread_mutex_lock(&closer->lock);
	if (!closer->busy) {
		closer->busy = true;
		while (closer->n) {
			int fd = closer->fds[--closer->n];

			pthread_mutex_unlock(&closer->lock);
			close(fd);
			pthread_mutex_lock(&closer->lock);
		}
		closer->busy = false;
	}
	pthread_mutex_unlock(&closer->lock);
}
