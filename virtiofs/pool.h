/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_POOL_H
#define VIRTIOFS_POOL_H

/*
 * The threads that serve request queues. They wait for the driver's kicks
 * themselves, all of them for those of all queues, and of those that sleep the
 * kernel wakes one for each kick, the one that fell asleep last. It does all
 * there is to do for a request: nobody is woken to hand it to.
 */

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "virtiofs/server.h"
#include "virtiofs/spin.h"
#include "vmm/virtio/queue.h"

/* One serves while the others may wait for a disk. */
#define FS_THREADS_MAX (1u + VIRTIOFS_WORKERS_MAX)

struct fs_pool;

struct fs_worker {
	struct fs_pool *pool;
	unsigned index;
	pthread_t thread;
	struct fs_thread *fs;
	struct fs_spin spin;
	struct virtq_chain *chain; /* that it works on */
};

struct fs_pool_ops {
	/* On a thread of the pool: queue q may have something. */
	void (*serve)(struct fs_pool *pool, struct fs_worker *worker,
		      unsigned q);
};

struct fs_pool {
	const struct fs_pool_ops *ops;
	struct virtiofs *fs;
	unsigned nqueues;
	int epfd;
	int stop_fd;			  /* eventfd: the end */
	int close_fd;			  /* eventfd: see closer.h */
	int call_fd[VIRTIOFS_QUEUES_MAX]; /* eventfds: fs_pool_call */
	int kick_fd[VIRTIOFS_QUEUES_MAX]; /* of the transport; -1: none */
	unsigned nthreads;		  /* running, once started */
	struct fs_worker workers[FS_THREADS_MAX];

	pthread_mutex_t lock; /* guards the fields below */
	pthread_cond_t change;
	unsigned starting; /* threads that did not report yet */
	int start_error;
};

/* Queues are 0 to nqueues - 1. 0 or -errno. */
int fs_pool_init(struct fs_pool *pool, struct virtiofs *fs, unsigned nqueues,
		 const struct fs_pool_ops *ops) MUST_CHECK;
/* Waits for the threads to end. */
void fs_pool_release(struct fs_pool *pool);
/* Starts the threads of the configuration, once. 0 or -errno. */
int fs_pool_start(struct fs_pool *pool) MUST_CHECK;

/* From any thread: one of the pool's looks at queue q. */
void fs_pool_call(struct fs_pool *pool, unsigned q);
/*
 * On the loop: one looks at queue q whenever fd becomes ready, with an edge;
 * nobody reads it. It is borrowed until fs_pool_unlisten. 0 or -errno.
 */
int fs_pool_listen(struct fs_pool *pool, unsigned q, int fd) MUST_CHECK;
bool fs_pool_listens(const struct fs_pool *pool, unsigned q);
void fs_pool_unlisten(struct fs_pool *pool, unsigned q);

#endif
