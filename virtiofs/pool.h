/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VIRTIOFS_POOL_H
#define VIRTIOFS_POOL_H

/*
 * The threads that work on requests, and the requests between a queue and a
 * thread. There are FS_TASKS of them at most: what the guest makes available
 * beyond that stays in its ring.
 */

#include <pthread.h>
#include <stdbool.h>

#include "base/compiler.h"
#include "base/err.h"
#include "virtiofs/server.h"
#include "virtiofs/spin.h"
#include "vmm/virtio/queue.h"

#define FS_TASKS 64u

struct fs_task {
	struct fs_task *next;
	unsigned queue;
	struct virtq_chain chain;
};

struct fs_pool;

struct fs_pool_ops {
	/* On a worker: the request is done, `len` bytes are written, or ret
	 * is -EPROTO. last: no call of next follows. */
	void (*done)(struct fs_pool *pool, const struct fs_task *task, int ret,
		     uint32_t len, bool last);
	/* On a worker that has nothing else to do: the next request of the
	 * task's queue, into the task, if one comes soon. */
	bool (*next)(struct fs_pool *pool, struct fs_task *task,
		     struct fs_spin *spin);
	/* On a worker: there is a free task again, after one was missing. */
	void (*room)(struct fs_pool *pool);
};

struct fs_worker {
	struct fs_pool *pool;
	unsigned index;
	pthread_t thread;
	struct fs_spin spin;
};

struct fs_pool {
	const struct fs_pool_ops *ops;
	struct virtiofs *fs;
	struct fs_task *tasks;
	unsigned nworkers; /* running, once started */
	struct fs_worker workers[VIRTIOFS_WORKERS_MAX];

	pthread_mutex_t lock; /* guards the fields below */
	pthread_cond_t work;
	pthread_cond_t change; /* of busy or starting */
	struct fs_task *free;
	struct fs_task *first;
	struct fs_task *last;
	unsigned busy;	   /* tasks in work */
	unsigned starting; /* workers that did not report yet */
	int start_error;
	bool starved; /* a task was missing */
	bool draining;
	bool stop;
};

int fs_pool_init(struct fs_pool *pool, struct virtiofs *fs,
		 const struct fs_pool_ops *ops) MUST_CHECK;
/* Waits for the workers to end. */
void fs_pool_release(struct fs_pool *pool);
/* Starts the workers of the configuration, once. 0 or -errno. */
int fs_pool_start(struct fs_pool *pool) MUST_CHECK;

/* NULL: none is free; room() follows. */
struct fs_task *fs_pool_take(struct fs_pool *pool);
void fs_pool_give_back(struct fs_pool *pool, struct fs_task *task);
void fs_pool_submit(struct fs_pool *pool, struct fs_task *task);
/* Drops what has not begun and waits for what has. */
void fs_pool_drain(struct fs_pool *pool);

#endif
