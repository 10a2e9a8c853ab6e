/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/pool.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* With the lock. */
static void task_free(struct fs_pool *pool, struct fs_task *task)
{
	task->next = pool->free;
	pool->free = task;
}

int fs_pool_init(struct fs_pool *pool, struct virtiofs *fs,
		 const struct fs_pool_ops *ops)
{
	pool->ops = ops;
	pool->fs = fs;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->change, NULL);
	pool->tasks = calloc(FS_TASKS, sizeof(pool->tasks[0]));
	if (!pool->tasks)
		return -ENOMEM;
	for (unsigned i = 0; i < FS_TASKS; i++)
		task_free(pool, &pool->tasks[i]);
	return 0;
}

static void workers_stop(struct fs_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->nworkers; i++)
		pthread_join(pool->workers[i].thread, NULL);
	pool->nworkers = 0;
	pool->stop = false;
}

void fs_pool_release(struct fs_pool *pool)
{
	if (!pool->ops)
		return;
	workers_stop(pool);
	pthread_cond_destroy(&pool->change);
	pthread_cond_destroy(&pool->work);
	pthread_mutex_destroy(&pool->lock);
	free(pool->tasks);
	pool->ops = NULL;
}

/* With the lock: the next task, or NULL to stop. */
static struct fs_task *task_wait(struct fs_pool *pool)
{
	struct fs_task *task;

	while (!pool->first && !pool->stop)
		pthread_cond_wait(&pool->work, &pool->lock);
	if (pool->stop)
		return NULL;
	task = pool->first;
	pool->first = task->next;
	pool->busy++;
	return task;
}

/* No other task waits for this worker. */
static bool may_go_on(struct fs_pool *pool)
{
	bool may;

	pthread_mutex_lock(&pool->lock);
	may = !pool->first && !pool->starved && !pool->draining && !pool->stop;
	pthread_mutex_unlock(&pool->lock);
	return may;
}

/*
 * A task, and then what comes to its queue for as long as that comes soon: a
 * guest that does one thing after the other has it done by one thread.
 */
static void work_on(struct fs_worker *worker, struct fs_thread *thread,
		    struct fs_task *task)
{
	struct fs_pool *pool = worker->pool;
	uint32_t len;
	bool last;
	int ret;

	fs_spin_woken(&worker->spin);
	do {
		ret = virtiofs_handle(thread, &task->chain, &len);
		last = ret < 0 || !may_go_on(pool);
		pool->ops->done(pool, task, ret, len, last);
	} while (!last && pool->ops->next(pool, task, &worker->spin));
}

static void work(struct fs_worker *worker, struct fs_thread *thread)
{
	struct fs_pool *pool = worker->pool;
	struct fs_task *task;
	bool starved;

	pthread_mutex_lock(&pool->lock);
	while ((task = task_wait(pool))) {
		pthread_mutex_unlock(&pool->lock);
		work_on(worker, thread, task);
		pthread_mutex_lock(&pool->lock);
		task_free(pool, task);
		starved = pool->starved;
		pool->starved = false;
		if (starved) {
			/* Still busy, so that a drain waits for the call. */
			pthread_mutex_unlock(&pool->lock);
			pool->ops->room(pool);
			pthread_mutex_lock(&pool->lock);
		}
		if (--pool->busy == 0)
			pthread_cond_broadcast(&pool->change);
	}
	pthread_mutex_unlock(&pool->lock);
}

static void *worker_run(void *arg)
{
	struct fs_worker *worker = arg;
	struct fs_pool *pool = worker->pool;
	const struct virtiofs_config *config = &pool->fs->config;
	struct fs_thread *thread = fs_thread_new(pool->fs, true);
	int ret = thread ? 0 : -errno;
	char name[8];

	snprintf(name, sizeof(name), "fs%u", worker->index % 100);
	if (!ret && config->thread_started)
		ret = config->thread_started(config->arg, name);
	pthread_mutex_lock(&pool->lock);
	if (ret)
		pool->start_error = ret < 0 ? ret : -EIO;
	pool->starting--;
	pthread_cond_broadcast(&pool->change);
	pthread_mutex_unlock(&pool->lock);
	if (!ret)
		work(worker, thread);
	fs_thread_free(thread);
	return NULL;
}

/* Signals are for the threads of the process's owner. */
static int worker_start(struct fs_pool *pool, unsigned index)
{
	struct fs_worker *worker = &pool->workers[index];
	sigset_t all;
	sigset_t old;
	int ret;

	worker->pool = pool;
	worker->index = index;
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

	if (pool->nworkers)
		return 0;
	pool->start_error = 0;
	for (unsigned i = 0; i < pool->fs->config.workers && !ret; i++) {
		pthread_mutex_lock(&pool->lock);
		pool->starting++;
		pthread_mutex_unlock(&pool->lock);
		ret = worker_start(pool, i);
		if (!ret)
			pool->nworkers++;
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

struct fs_task *fs_pool_take(struct fs_pool *pool)
{
	struct fs_task *task;

	pthread_mutex_lock(&pool->lock);
	task = pool->free;
	if (task)
		pool->free = task->next;
	else
		pool->starved = true;
	pthread_mutex_unlock(&pool->lock);
	return task;
}

void fs_pool_give_back(struct fs_pool *pool, struct fs_task *task)
{
	pthread_mutex_lock(&pool->lock);
	task_free(pool, task);
	pthread_mutex_unlock(&pool->lock);
}

void fs_pool_submit(struct fs_pool *pool, struct fs_task *task)
{
	task->next = NULL;
	pthread_mutex_lock(&pool->lock);
	if (pool->first)
		pool->last->next = task;
	else
		pool->first = task;
	pool->last = task;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

void fs_pool_drain(struct fs_pool *pool)
{
	struct fs_task *task;

	pthread_mutex_lock(&pool->lock);
	pool->draining = true;
	while ((task = pool->first)) {
		pool->first = task->next;
		task_free(pool, task);
	}
	while (pool->busy)
		pthread_cond_wait(&pool->change, &pool->lock);
	pool->starved = false;
	pool->draining = false;
	pthread_mutex_unlock(&pool->lock);
}
