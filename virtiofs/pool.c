/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"

#define STOP UINT32_MAX
#define CLOSE (UINT32_MAX - 1)

static int watch(struct fs_pool *pool, int fd, uint32_t events, uint32_t what)
{
	struct epoll_event ev = {.events = events, .data.u32 = what};

	return epoll_ctl(pool->epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static int watched_eventfd(struct fs_pool *pool, int *fd, uint32_t events,
			   uint32_t what)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? -errno : watch(pool, *fd, events, what);
}

int fs_pool_init(struct fs_pool *pool, struct virtiofs *fs, unsigned nqueues,
		 const struct fs_pool_ops *ops)
{
	int ret;

	BUG_ON(nqueues > VIRTIOFS_QUEUES_MAX);
	pool->ops = ops;
	pool->fs = fs;
	pool->nqueues = nqueues;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->change, NULL);
	pool->stop_fd = pool->close_fd = -1;
	for (unsigned q = 0; q < nqueues; q++)
		pool->call_fd[q] = pool->kick_fd[q] = -1;
	pool->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (pool->epfd < 0)
		return -errno;
	/* Stays ready, so that all threads see it. */
	ret = watched_eventfd(pool, &pool->stop_fd, EPOLLIN, STOP);
	if (!ret)
		ret = watched_eventfd(pool, &pool->close_fd, EPOLLIN | EPOLLET,
				      CLOSE);
	if (!ret)
		fs_closer_call(&fs->closer, pool->close_fd);
	for (unsigned q = 0; !ret && q < nqueues; q++)
		ret = watched_eventfd(pool, &pool->call_fd[q],
				      EPOLLIN | EPOLLET, q);
	return ret;
}

static void raise_event(int fd)
{
	/* Fails only when the counter is full, and then it is readable. */
	if (eventfd_write(fd, 1) && errno != EAGAIN)
		BUG("eventfd: %s", strerror(errno));
}

static void workers_stop(struct fs_pool *pool)
{
	eventfd_t value;

	if (!pool->nthreads)
		return;
	raise_event(pool->stop_fd);
	for (unsigned i = 0; i < pool->nthreads; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pool->nthreads = 0;
	if (eventfd_read(pool->stop_fd, &value))
		BUG("eventfd: %s", strerror(errno));
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void fs_pool_release(struct fs_pool *pool)
{
	if (!pool->ops)
		return;
	workers_stop(pool);
	fs_closer_call(&pool->fs->closer, -1);
	close_fd(pool->close_fd);
	for (unsigned q = 0; q < pool->nqueues; q++)
		close_fd(pool->call_fd[q]);
	close_fd(pool->stop_fd);
	close_fd(pool->epfd);
	pthread_cond_destroy(&pool->change);
	pthread_mutex_destroy(&pool->lock);
	pool->ops = NULL;
}

static void work(struct fs_worker *worker)
{
	struct fs_pool *pool = worker->pool;
	struct epoll_event ev;
	int n;

	/* One event at a time: another one is for another thread. */
	for (;;) {
		n = epoll_wait(pool->epfd, &ev, 1, -1);
		if (n < 0 && errno != EINTR)
			BUG("epoll_wait: %s", strerror(errno));
		if (n <= 0)
			continue;
		if (ev.data.u32 == STOP)
			return;
		if (ev.data.u32 == CLOSE)
			fs_closer_run(&pool->fs->closer);
		else
			pool->ops->serve(pool, worker, ev.data.u32);
	}
}

static int worker_init(struct fs_worker *worker)
{
	struct fs_pool *pool = worker->pool;
	const struct virtiofs_config *config = &pool->fs->config;
	char name[8];

	worker->fs = fs_thread_new(pool->fs, true);
	if (!worker->fs)
		return -errno;
	worker->chain = malloc(sizeof(*worker->chain));
	if (!worker->chain)
		return -ENOMEM;
	snprintf(name, sizeof(name), "fs%u", worker->index % 100);
	return config->thread_started
		       ? config->thread_started(config->arg, name)
		       : 0;
}

static void *worker_run(void *arg)
{
	struct fs_worker *worker = arg;
	struct fs_pool *pool = worker->pool;
	int ret = worker_init(worker);

	pthread_mutex_lock(&pool->lock);
	if (ret)
		pool->start_error = ret < 0 ? ret : -EIO;
	pool->starting--;
	pthread_cond_broadcast(&pool->change);
	pthread_mutex_unlock(&pool->lock);
	if (!ret)
		work(worker);
	free(worker->chain);
	fs_thread_free(worker->fs);
	return NULL;
}

/* Signals are for the threads of the process's owner. */
static int worker_start(struct fs_pool *pool, unsigned index)
{
	struct fs_worker *worker = &pool->workers[index];
	sigset_t all;
	sigset_t old;
	int ret;

	*worker = (struct fs_worker){.pool = pool, .index = index};
	sigfillset(&all);
	/* How a page of the DAX window that is gone is met. */
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = pthread_create(&worker->thread, NULL, worker_run, worker);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -ret;
}

int fs_pool_start(struct fs_pool *pool)
{
	int ret = 0;

	if (pool->nthreads)
		return 0;
	pool->start_error = 0;
	for (unsigned i = 0; i <= pool->fs->config.workers && !ret; i++) {
		pthread_mutex_lock(&pool->lock);
		pool->starting++;
		pthread_mutex_unlock(&pool->lock);
		ret = worker_start(pool, i);
		if (!ret)
			pool->nthreads++;
	}
	pthread_mutex_lock(&pool->lock);
	if (ret)
		pool->starting--;
	while (pool->starting)
		pthread_cond_wait(&pool->change, &pool->lock);
	if (!ret)
		ret = pool->start_error;
	pthread_mutex_unlock(&pool->lock);
	if (ret)
		workers_stop(pool);
	return ret;
}

void fs_pool_call(struct fs_pool *pool, unsigned q)
{
	raise_event(pool->call_fd[q]);
}

int fs_pool_listen(struct fs_pool *pool, unsigned q, int fd)
{
	int ret = watch(pool, fd, EPOLLIN | EPOLLET, q);

	if (!ret)
		pool->kick_fd[q] = fd;
	return ret;
}

bool fs_pool_listens(const struct fs_pool *pool, unsigned q)
{
	return pool->kick_fd[q] >= 0;
}

/* A descriptor that was closed meanwhile is not there any more. */
void fs_pool_unlisten(struct fs_pool *pool, unsigned q)
{
	if (pool->kick_fd[q] < 0)
		return;
	epoll_ctl(pool->epfd, EPOLL_CTL_DEL, pool->kick_fd[q], NULL);
	pool->kick_fd[q] = -1;
}
