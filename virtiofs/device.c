/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/evloop.h"
#include "virtiofs/cred.h"
#include "virtiofs/dax.h"
#include "virtiofs/pool.h"
#include "virtiofs/server.h"
#include "virtiofs/spin.h"
#include "virtiofs/virtiofs.h"
#include "virtiofs/wait.h"
#include "vmm/virtio/device.h"

#define QUEUE_HIPRIO 0u
#define QUEUE_SIZE 1024u
#define QUEUES_MAX (1u + VIRTIOFS_QUEUES_MAX)
/* Requests on the loop, per turn of it, and until the guest hears of them: it
 * can go on with the first ones. */
#define INLINE_BATCH 16u
#define SIGNAL_BATCH 4u
#define DAX_CHECK_MS 1000u

/* virtio 1.2, 5.11.4 */
struct virtio_fs_config_space {
	char tag[VIRTIOFS_TAG_MAX]; /* not terminated when it is full */
	le32 num_request_queues;
};

/*
 * Queue 0 is for what must not wait behind other requests (FORGET), and is
 * handled on the loop; so is all the rest when there are no workers, or what
 * waits for nothing (virtiofs_try).
 */
struct virtiofs_device {
	struct virtio_device dev;
	struct virtiofs *fs;
	struct virtio_fs_config_space space;
	struct fs_pool pool;
	struct fs_thread *thread;  /* of the loop */
	struct virtq_chain *chain; /* that it works on */
	struct fs_spin spin;	   /* of the loop */
	int room_fd;		   /* eventfd: a task is free again */
	struct evsource room;
	struct evtimer dax_check; /* while there is a DAX window */
	/* The loop pops, workers push. Guards dev.queues[i]. */
	pthread_mutex_t rings[QUEUES_MAX];
};

static struct virtiofs_device *device_of(struct virtio_device *dev)
{
	return container_of(dev, struct virtiofs_device, dev);
}

static int ring_pop(struct virtiofs_device *fsdev, unsigned q,
		    struct virtq_chain *chain)
{
	int ret;

	pthread_mutex_lock(&fsdev->rings[q]);
	ret = virtq_pop(&fsdev->dev.queues[q], chain);
	pthread_mutex_unlock(&fsdev->rings[q]);
	if (ret < 0)
		vdev_fault(&fsdev->dev, "queue %u: broken ring", q);
	return ret;
}

static void ring_push(struct virtiofs_device *fsdev, unsigned q, uint16_t head,
		      uint32_t len)
{
	pthread_mutex_lock(&fsdev->rings[q]);
	virtq_push(&fsdev->dev.queues[q], head, len);
	pthread_mutex_unlock(&fsdev->rings[q]);
}

static void ring_signal(struct virtiofs_device *fsdev, unsigned q)
{
	pthread_mutex_lock(&fsdev->rings[q]);
	virtio_device_signal(&fsdev->dev, q);
	pthread_mutex_unlock(&fsdev->rings[q]);
}

static void ring_disable_kick(struct virtiofs_device *fsdev, unsigned q)
{
	pthread_mutex_lock(&fsdev->rings[q]);
	virtq_disable_kick(&fsdev->dev.queues[q]);
	pthread_mutex_unlock(&fsdev->rings[q]);
}

static bool ring_enable_kick(struct virtiofs_device *fsdev, unsigned q)
{
	bool more;

	pthread_mutex_lock(&fsdev->rings[q]);
	more = virtq_enable_kick(&fsdev->dev.queues[q]);
	pthread_mutex_unlock(&fsdev->rings[q]);
	return more;
}

struct ring_ref {
	struct virtiofs_device *fsdev;
	unsigned q;
};

static bool ring_pending(void *arg)
{
	const struct ring_ref *ring = arg;
	bool more;

	pthread_mutex_lock(&ring->fsdev->rings[ring->q]);
	more = virtq_pending(&ring->fsdev->dev.queues[ring->q]);
	pthread_mutex_unlock(&ring->fsdev->rings[ring->q]);
	return more;
}

/*
 * Of a ring whose kicks are off: whether there is more, or soon. Otherwise
 * they are on.
 */
static bool ring_more(struct virtiofs_device *fsdev, unsigned q,
		      struct fs_spin *spin)
{
	struct ring_ref ring = {fsdev, q};

	return fs_spin_for(spin, ring_pending, &ring) ||
	       ring_enable_kick(fsdev, q);
}

/* One request on the loop. 1: done; 0: there is none; -errno: faulted. */
static int handle_one(struct virtiofs_device *fsdev, unsigned q)
{
	uint32_t len;
	int ret = ring_pop(fsdev, q, fsdev->chain);

	if (ret <= 0)
		return ret;
	ret = virtiofs_handle(fsdev->thread, fsdev->chain, &len);
	if (ret < 0) {
		vdev_fault(&fsdev->dev, "queue %u: no FUSE request", q);
		return ret;
	}
	ring_push(fsdev, q, fsdev->chain->head, len);
	return 1;
}

/* Nobody waits for an answer to what the other queue has. */
static bool batch_more(struct virtiofs_device *fsdev, unsigned q, unsigned done)
{
	if (q == QUEUE_HIPRIO || !done)
		return ring_enable_kick(fsdev, q);
	ring_signal(fsdev, q);
	return ring_more(fsdev, q, &fsdev->spin);
}

static void handle_batch(struct virtiofs_device *fsdev, unsigned q)
{
	unsigned n = 0;
	int ret;

	ring_disable_kick(fsdev, q);
	for (;;) {
		ret = handle_one(fsdev, q);
		if (ret < 0)
			break;
		if (ret == 0 && !batch_more(fsdev, q, n))
			break;
		n += ret == 1;
		if (ret == 1 && n % SIGNAL_BATCH == 0)
			ring_signal(fsdev, q);
		if (n == INLINE_BATCH) {
			virtio_device_kick_again(&fsdev->dev, q);
			break;
		}
	}
	if (n)
		ring_signal(fsdev, q);
}

/*
 * A popped request: on the loop, if that takes no waiting, which saves two
 * changes of thread; else on a worker. 1: done; 0: submitted; -errno: faulted.
 */
static int submit_one(struct virtiofs_device *fsdev, struct fs_task *task)
{
	unsigned q = task->queue;
	uint32_t len;
	int ret = virtiofs_try(fsdev->thread, &task->chain, &len);

	if (ret == 0) {
		fs_pool_submit(&fsdev->pool, task);
		return 0;
	}
	if (ret < 0)
		vdev_fault(&fsdev->dev, "queue %u: no FUSE request", q);
	else
		ring_push(fsdev, q, task->chain.head, len);
	fs_pool_give_back(&fsdev->pool, task);
	return ret;
}

enum submitted {
	SUBMIT_DONE,  /* on the loop */
	SUBMIT_GIVEN, /* to a worker */
	SUBMIT_NONE,  /* the ring is empty */
	SUBMIT_STOP,  /* on_room() goes on, or nobody */
};

/* One from the ring, as above. */
static enum submitted submit_next(struct virtiofs_device *fsdev, unsigned q)
{
	struct fs_task *task = fs_pool_take(&fsdev->pool);
	int ret;

	if (!task)
		return SUBMIT_STOP;
	ret = ring_pop(fsdev, q, &task->chain);
	if (ret <= 0) {
		fs_pool_give_back(&fsdev->pool, task);
		return ret < 0 ? SUBMIT_STOP : SUBMIT_NONE;
	}
	task->queue = q;
	ret = submit_one(fsdev, task);
	if (ret < 0)
		return SUBMIT_STOP;
	return ret ? SUBMIT_DONE : SUBMIT_GIVEN;
}

/* Everything there is, as far as tasks last. What comes after a request that a
 * worker has is for the worker, which looks for it. */
static void submit_all(struct virtiofs_device *fsdev, unsigned q)
{
	unsigned done = 0;
	bool given = false;
	bool more = true;

	ring_disable_kick(fsdev, q);
	while (more) {
		switch (submit_next(fsdev, q)) {
		case SUBMIT_DONE:
			more = ++done < INLINE_BATCH;
			if (done % SIGNAL_BATCH == 0)
				ring_signal(fsdev, q);
			if (!more)
				virtio_device_kick_again(&fsdev->dev, q);
			break;
		case SUBMIT_GIVEN:
			given = true;
			break;
		case SUBMIT_NONE:
			more = batch_more(fsdev, q, given ? 0 : done);
			break;
		case SUBMIT_STOP:
			more = false;
			break;
		}
	}
	if (done)
		ring_signal(fsdev, q);
}

static void fs_kick(struct virtio_device *dev, unsigned q)
{
	struct virtiofs_device *fsdev = device_of(dev);

	if (q != QUEUE_HIPRIO)
		fs_spin_woken(&fsdev->spin);
	if (q == QUEUE_HIPRIO || !fsdev->fs->config.workers)
		handle_batch(fsdev, q);
	else
		submit_all(fsdev, q);
}

/* From any thread: the loop looks at all rings. */
static void call_loop(struct virtiofs_device *fsdev)
{
	/* Fails only when the counter is full, and then it is readable. */
	if (eventfd_write(fsdev->room_fd, 1) && errno != EAGAIN)
		BUG("eventfd: %s", strerror(errno));
}

static struct virtiofs_device *device_of_pool(struct fs_pool *pool)
{
	return container_of(pool, struct virtiofs_device, pool);
}

/* On a worker. */
static void task_done(struct fs_pool *pool, const struct fs_task *task, int ret,
		      uint32_t len, bool last)
{
	struct virtiofs_device *fsdev = device_of_pool(pool);

	if (ret < 0) {
		vdev_fault(&fsdev->dev, "queue %u: no FUSE request",
			   task->queue);
		return;
	}
	pthread_mutex_lock(&fsdev->rings[task->queue]);
	/* Before the guest knows and sends another: task_next() looks. */
	if (!last)
		virtq_disable_kick(&fsdev->dev.queues[task->queue]);
	virtq_push(&fsdev->dev.queues[task->queue], task->chain.head, len);
	virtio_device_signal(&fsdev->dev, task->queue);
	pthread_mutex_unlock(&fsdev->rings[task->queue]);
}

/*
 * On a worker. Kicks are off only while somebody looks at the ring: with a
 * request in work, others are for the loop to see.
 */
static bool task_next(struct fs_pool *pool, struct fs_task *task,
		      struct fs_spin *spin)
{
	struct virtiofs_device *fsdev = device_of_pool(pool);
	int ret;

	do {
		if (!virtio_device_running(&fsdev->dev))
			return false;
		ret = ring_pop(fsdev, task->queue, &task->chain);
		if (ret < 0)
			return false;
		if (ret > 0) {
			if (ring_enable_kick(fsdev, task->queue))
				call_loop(fsdev);
			return true;
		}
	} while (ring_more(fsdev, task->queue, spin));
	return false;
}

/* On a worker. */
static void task_room(struct fs_pool *pool)
{
	call_loop(device_of_pool(pool));
}

static const struct fs_pool_ops pool_ops = {
	.done = task_done,
	.next = task_next,
	.room = task_room,
};

static void on_room(struct evsource *src, uint32_t revents)
{
	struct virtiofs_device *fsdev =
		container_of(src, struct virtiofs_device, room);
	eventfd_t value;

	if (eventfd_read(fsdev->room_fd, &value))
		return;
	for (unsigned q = QUEUE_HIPRIO + 1; q < fsdev->dev.nqueues; q++)
		virtio_device_kick(&fsdev->dev, q);
}

static void on_dax_check(struct evtimer *timer)
{
	struct virtiofs_device *fsdev =
		container_of(timer, struct virtiofs_device, dax_check);

	fs_dax_check(fsdev->fs);
	evtimer_start(timer, DAX_CHECK_MS);
}

static void dax_check_stop(struct virtiofs_device *fsdev)
{
	if (fsdev->dax_check.expired)
		evtimer_release(&fsdev->dax_check);
	fsdev->dax_check.expired = NULL;
}

static int dax_check_start(struct virtiofs_device *fsdev)
{
	int ret;

	if (!fsdev->dev.window)
		return 0;
	ret = evtimer_init(fsdev->dev.loop, &fsdev->dax_check, on_dax_check);
	if (ret)
		fsdev->dax_check.expired = NULL;
	else
		evtimer_start(&fsdev->dax_check, DAX_CHECK_MS);
	return ret;
}

static int fs_activate(struct virtio_device *dev)
{
	struct virtiofs_device *fsdev = device_of(dev);
	int ret;

	/* The process has given up privileges since it made the device. */
	fs_cred_init(fsdev->thread);
	ret = dax_check_start(fsdev);
	if (ret || !fsdev->fs->config.workers)
		return ret;
	ret = fs_pool_start(&fsdev->pool);
	if (!ret)
		ret = evsource_add(dev->loop, &fsdev->room, fsdev->room_fd,
				   EPOLLIN, on_room);
	if (ret)
		dax_check_stop(fsdev);
	return ret;
}

static void fs_device_reset(struct virtio_device *dev)
{
	struct virtiofs_device *fsdev = device_of(dev);

	fs_waits_end(&fsdev->fs->waits);
	fs_pool_drain(&fsdev->pool);
	evsource_del(&fsdev->room);
	dax_check_stop(fsdev);
	virtiofs_reset(fsdev->fs);
}

static void fs_config_read(struct virtio_device *dev, size_t off, void *dst,
			   size_t len)
{
	memcpy(dst, (const char *)&device_of(dev)->space + off, len);
}

static bool fs_window_fault(struct virtio_device *dev)
{
	return fs_dax_fault(device_of(dev)->fs);
}

static void fs_device_destroy(struct virtio_device *dev)
{
	struct virtiofs_device *fsdev = device_of(dev);

	evsource_del(&fsdev->room);
	dax_check_stop(fsdev);
	if (fsdev->fs)
		fs_waits_end(&fsdev->fs->waits);
	fs_pool_release(&fsdev->pool);
	fs_thread_free(fsdev->thread);
	virtiofs_free(fsdev->fs);
	free(fsdev->chain);
	if (fsdev->room_fd >= 0)
		close(fsdev->room_fd);
	for (unsigned i = 0; i < QUEUES_MAX; i++)
		pthread_mutex_destroy(&fsdev->rings[i]);
	virtio_device_release(dev);
	free(fsdev);
}

static const struct virtio_device_ops fs_device_ops = {
	.name = "fs",
	.id = VIRTIO_ID_FS,
	.config_len = sizeof(struct virtio_fs_config_space),
	.activate = fs_activate,
	.kick = fs_kick,
	.reset = fs_device_reset,
	.config_read = fs_config_read,
	.destroy = fs_device_destroy,
	.window_fault = fs_window_fault,
};

static int config_check(const struct virtiofs_config *config, struct err *err)
{
	size_t len = config->tag ? strlen(config->tag) : 0;

	if (len < 1 || len > VIRTIOFS_TAG_MAX)
		return err_set(err, EINVAL, "tag '%s': not 1 to %u bytes",
			       config->tag ? config->tag : "",
			       VIRTIOFS_TAG_MAX);
	if (config->workers > VIRTIOFS_WORKERS_MAX)
		return err_set(err, EINVAL, "%u workers: at most %u",
			       config->workers, VIRTIOFS_WORKERS_MAX);
	if (config->request_queues > VIRTIOFS_QUEUES_MAX)
		return err_set(err, EINVAL, "%u request queues: at most %u",
			       config->request_queues, VIRTIOFS_QUEUES_MAX);
	return 0;
}

static int device_open(struct virtiofs_device *fsdev,
		       const struct virtiofs_config *config, struct err *err)
{
	int ret;

	fsdev->fs = virtiofs_new(config, err);
	if (!fsdev->fs)
		return -err->code;
	fsdev->thread = fs_thread_new(fsdev->fs, false);
	fsdev->chain = malloc(sizeof(*fsdev->chain));
	if (!fsdev->thread || !fsdev->chain)
		return err_set(err, ENOMEM, "requests");
	fsdev->room_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fsdev->room_fd < 0)
		return err_sys(err, "eventfd");
	fsdev->dev.window = fs_dax_window(fsdev->fs);
	ret = fs_pool_init(&fsdev->pool, fsdev->fs, &pool_ops);
	return ret ? err_ret(err, ret, "workers") : 0;
}

static struct virtiofs_device *
device_alloc(const struct virtiofs_config *config)
{
	unsigned queues = config->request_queues ? config->request_queues : 1;
	struct virtiofs_device *fsdev = calloc(1, sizeof(*fsdev));

	if (!fsdev)
		return NULL;
	virtio_device_init(&fsdev->dev, &fs_device_ops,
			   VIRTIO_RING_F_INDIRECT_DESC |
				   VIRTIO_RING_F_EVENT_IDX,
			   1 + queues, QUEUE_SIZE);
	fsdev->room_fd = -1;
	for (unsigned i = 0; i < QUEUES_MAX; i++)
		pthread_mutex_init(&fsdev->rings[i], NULL);
	memcpy(fsdev->space.tag, config->tag, strlen(config->tag));
	fsdev->space.num_request_queues = le32_make(queues);
	return fsdev;
}

struct virtio_device *virtiofs_device_new(const struct virtiofs_config *config,
					  struct err *err)
{
	AUTO_FD int root_fd = config->root_fd;
	AUTO_FD int proc_fd = config->proc_fd;
	struct virtiofs_device *fsdev;

	if (config_check(config, err)) {
		err_wrap(err, "virtio-fs");
		return NULL;
	}
	fsdev = device_alloc(config);
	if (!fsdev) {
		err_set(err, ENOMEM, "virtio-fs device");
		return NULL;
	}
	steal_fd(&root_fd);
	steal_fd(&proc_fd);
	if (device_open(fsdev, config, err) == 0)
		return &fsdev->dev;
	fs_device_destroy(&fsdev->dev);
	err_wrap(err, "virtio-fs");
	return NULL;
}
