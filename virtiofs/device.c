/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "virtiofs/cred.h"
#include "virtiofs/dax.h"
#include "virtiofs/wait.h"

#define QUEUE_SIZE 1024u
/* Requests until other devices, or queues, have their turn. */
#define TURN 64u
/* Until the guest hears of them: it can go on with the first ones. */
#define SIGNAL_BATCH 4u
#define DAX_CHECK_MS 1000u

/* Nobody waits behind a large request of the only vCPU. */
size_t fs_device_quick_max(const struct virtiofs_device *fsdev)
{
	bool several = atomic_load_explicit(&fsdev->vcpus.several,
					    memory_order_relaxed);

	return fsdev->dev.direct && !several ? FS_MAX_WRITE : FS_QUICK;
}

static void fault(struct virtiofs_device *fsdev, unsigned q, const char *what)
{
	vdev_fault(&fsdev->dev, "queue %u: %s", q, what);
	for (unsigned i = 0; i < fsdev->dev.nqueues; i++)
		fs_ring_break(&fsdev->rings[i]);
}

static bool ring_pending(void *arg)
{
	return fs_ring_pending(arg);
}

int fs_device_pop(struct virtiofs_device *fsdev, struct fs_ring *ring,
		  struct virtq_chain *chain)
{
	int ret = fs_ring_pop(ring, chain);

	if (ret == -EPROTO)
		fault(fsdev, ring->q, "broken ring");
	return ret;
}

int fs_device_begin(struct virtiofs_device *fsdev, const struct fs_ring *ring,
		    struct fs_thread *thread, const struct virtq_chain *chain)
{
	int least = virtiofs_begin(thread, chain);

	if (least < 0)
		fault(fsdev, ring->q, "no FUSE request");
	else if (ring->q == FS_QUEUE_HIPRIO && fsdev->fs->config.workers)
		virtiofs_silent_only(thread);
	return least;
}

/* On the loop. ---------------------------------------------------------- */

/* One request. 1: done; 0: there is none; -errno: faulted. */
static int handle_one(struct virtiofs_device *fsdev, struct fs_ring *ring)
{
	uint32_t len;
	int ret = fs_device_pop(fsdev, ring, fsdev->chain);

	if (ret <= 0)
		return ret;
	ret = fs_device_begin(fsdev, ring, fsdev->thread, fsdev->chain);
	if (ret < 0)
		return ret;
	BUG_ON(!virtiofs_try(fsdev->thread, FS_PATIENT, &len));
	fs_ring_push(ring, fsdev->chain->head, len, false);
	return 1;
}

/* Nobody waits for an answer to what the other queue has. */
static bool batch_more(struct virtiofs_device *fsdev, struct fs_ring *ring)
{
	if (ring->q != FS_QUEUE_HIPRIO) {
		fs_ring_signal(ring);
		if (fs_spin_for(&fsdev->spin, ring_pending, ring))
			return true;
	}
	return fs_ring_rest(ring);
}

/* As the leader, unless a vCPU's thread is. */
static void handle_batch(struct virtiofs_device *fsdev, struct fs_ring *ring)
{
	unsigned n = 0;
	int ret;

	if (fs_ring_enter(ring) != FS_RING_ENTERED)
		return;
	for (;;) {
		ret = handle_one(fsdev, ring);
		if (ret < 0)
			fs_ring_leave(ring);
		if (ret < 0 || (ret == 0 && !batch_more(fsdev, ring)))
			break;
		n += ret == 1;
		if (ret == 1 && n % SIGNAL_BATCH == 0)
			fs_ring_signal(ring);
		if (n == TURN) {
			fs_ring_abandon(ring, false);
			virtio_device_kick_again(&fsdev->dev, ring->q);
			break;
		}
	}
	if (n)
		fs_ring_signal(ring);
}

/* On a thread of the pool. ---------------------------------------------- */

static struct virtiofs_device *device_of_pool(struct fs_pool *pool)
{
	return container_of(pool, struct virtiofs_device, pool);
}

static unsigned pool_queue(unsigned q)
{
	return q - 1;
}

void fs_device_call_pool(struct virtiofs_device *fsdev,
			 const struct fs_ring *ring)
{
	fs_pool_call(&fsdev->pool, pool_queue(ring->q));
}

static void pass_on(struct virtiofs_device *fsdev, struct fs_ring *ring)
{
	if (fs_ring_pass(ring))
		fs_device_call_pool(fsdev, ring);
}

/* After n requests: the thread leads on, or leaves what there is to others. */
static bool lead_on(struct virtiofs_device *fsdev, struct fs_ring *ring,
		    unsigned n)
{
	/* Other queues have their turn. */
	if (ring->all || n % TURN)
		return true;
	pass_on(fsdev, ring);
	fs_ring_leave(ring);
	return false;
}

/* What may wait. True: the thread leads again; false: it has left. */
static bool serve_slowly(struct virtiofs_device *fsdev, struct fs_ring *ring,
			 struct fs_worker *worker)
{
	uint32_t len;

	pass_on(fsdev, ring);
	BUG_ON(!virtiofs_try(worker->fs, FS_PATIENT, &len));
	return fs_ring_finish(ring, worker->chain->head, len);
}

/* Whether to look for the next request: where vCPUs serve their own, it is
 * worth its while when they say so. */
static void expect_more(struct virtiofs_device *fsdev, struct fs_worker *worker)
{
	if (!fsdev->dev.direct)
		fs_spin_woken(&worker->spin);
	else if (atomic_exchange_explicit(&fsdev->hot, false,
					  memory_order_relaxed))
		fs_spin_expect(&worker->spin);
}

/* One request, or the end of them, as the leader; n were served before. The
 * same. */
static bool serve_one(struct virtiofs_device *fsdev, struct fs_ring *ring,
		      struct fs_worker *worker, unsigned n)
{
	uint32_t len;
	int ret = fs_device_pop(fsdev, ring, worker->chain);
	bool signal;

	if (ret == 0)
		return fs_spin_for(&worker->spin, ring_pending, ring) ||
		       fs_ring_rest(ring);
	if (ret > 0)
		ret = fs_device_begin(fsdev, ring, worker->fs, worker->chain);
	if (ret < 0) {
		fs_ring_leave(ring);
		return false;
	}
	worker->fs->quick_max = fs_device_quick_max(fsdev);
	if (!virtiofs_try(worker->fs, FS_NOWAIT, &len))
		return serve_slowly(fsdev, ring, worker) &&
		       lead_on(fsdev, ring, n);
	signal = n % SIGNAL_BATCH == 0 || !fs_ring_pending(ring);
	fs_ring_push(ring, worker->chain->head, len, signal);
	return lead_on(fsdev, ring, n);
}

static void serve(struct fs_pool *pool, struct fs_worker *worker, unsigned q)
{
	struct virtiofs_device *fsdev = device_of_pool(pool);
	struct fs_ring *ring = &fsdev->rings[q + 1];
	unsigned n = 1;

	if (fs_ring_enter(ring) != FS_RING_ENTERED)
		return;
	expect_more(fsdev, worker);
	while (serve_one(fsdev, ring, worker, n))
		n++;
}

static const struct fs_pool_ops pool_ops = {
	.serve = serve,
};

/* From now on kicks need not come by the loop, where there is a way. */
static void listen_to(struct virtiofs_device *fsdev, unsigned q)
{
	const struct virtio_transport_ops *transport = fsdev->dev.transport;
	int fd = -1;

	if (fs_pool_listens(&fsdev->pool, pool_queue(q)))
		return;
	if (transport->kick_take)
		fd = transport->kick_take(&fsdev->dev, q);
	if (fd >= 0 && fs_pool_listen(&fsdev->pool, pool_queue(q), fd) < 0)
		transport->kick_back(&fsdev->dev, q);
}

static void unlisten_all(struct virtiofs_device *fsdev)
{
	struct virtio_device *dev = &fsdev->dev;

	if (!fsdev->fs->config.workers)
		return;
	for (unsigned q = FS_QUEUE_HIPRIO + 1; q < dev->nqueues; q++) {
		if (!fs_pool_listens(&fsdev->pool, pool_queue(q)))
			continue;
		fs_pool_unlisten(&fsdev->pool, pool_queue(q));
		if (dev->transport->kick_back)
			dev->transport->kick_back(dev, q);
	}
}

/* The device. ----------------------------------------------------------- */

/* A queue that was started. A guest may not use all that there are. */
static void open_ring(struct virtiofs_device *fsdev, unsigned q)
{
	unsigned requests;
	unsigned all = 0;

	if (fsdev->opened & (1u << q))
		return;
	fsdev->opened |= 1u << q;
	requests = fsdev->opened & ~(1u << FS_QUEUE_HIPRIO);
	/* A power of two: all threads serve that one; with those of vCPUs,
	 * never are all of them busy. */
	if ((requests & (requests - 1)) == 0)
		all = 1 + fsdev->fs->config.workers + (fsdev->dev.direct != 0);
	for (unsigned i = 0; i < fsdev->dev.nqueues; i++) {
		if (fsdev->opened & (1u << i))
			fs_ring_open(&fsdev->rings[i], all);
	}
}

static void fs_kick(struct virtio_device *dev, unsigned q)
{
	struct virtiofs_device *fsdev = fs_device_of(dev);

	open_ring(fsdev, q);
	if (q != FS_QUEUE_HIPRIO && fsdev->fs->config.workers) {
		listen_to(fsdev, q);
		fs_device_call_pool(fsdev, &fsdev->rings[q]);
		return;
	}
	if (q != FS_QUEUE_HIPRIO)
		fs_spin_woken(&fsdev->spin);
	handle_batch(fsdev, &fsdev->rings[q]);
}

static void fs_kick_lost(struct virtio_device *dev, unsigned q)
{
	struct virtiofs_device *fsdev = fs_device_of(dev);

	if (q != FS_QUEUE_HIPRIO && fsdev->fs->config.workers)
		fs_pool_unlisten(&fsdev->pool, pool_queue(q));
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
	struct virtiofs_device *fsdev = fs_device_of(dev);
	int ret;

	/* The process has given up privileges since it made the device. */
	fs_cred_init(fsdev->thread);
	ret = dax_check_start(fsdev);
	if (ret || !fsdev->fs->config.workers)
		return ret;
	ret = fs_pool_start(&fsdev->pool);
	if (ret)
		dax_check_stop(fsdev);
	return ret;
}

/* The session goes on: where a machine is paused, its guest knows nothing. */
static void fs_device_stop(struct virtio_device *dev)
{
	struct virtiofs_device *fsdev = fs_device_of(dev);

	fs_waits_end(&fsdev->fs->waits);
	for (unsigned q = 0; q < dev->nqueues; q++)
		fs_ring_drain(&fsdev->rings[q]);
	fs_waits_allow(&fsdev->fs->waits);
	/* The transport looks at the queues. */
	unlisten_all(fsdev);
	for (unsigned q = 0; q < dev->nqueues; q++)
		fs_ring_reset(&fsdev->rings[q]);
	fsdev->opened = 0;
	dax_check_stop(fsdev);
}

static void fs_device_reset(struct virtio_device *dev)
{
	fs_device_stop(dev);
	virtiofs_reset(fs_device_of(dev)->fs);
}

static void fs_config_read(struct virtio_device *dev, size_t off, void *dst,
			   size_t len)
{
	memcpy(dst, (const char *)&fs_device_of(dev)->space + off, len);
}

static bool fs_window_fault(struct virtio_device *dev)
{
	return fs_dax_fault(fs_device_of(dev)->fs);
}

static void fs_device_destroy(struct virtio_device *dev)
{
	struct virtiofs_device *fsdev = fs_device_of(dev);

	dax_check_stop(fsdev);
	if (fsdev->fs)
		fs_waits_end(&fsdev->fs->waits);
	fs_pool_release(&fsdev->pool);
	fs_vcpus_free(&fsdev->vcpus);
	fs_thread_free(fsdev->thread);
	virtiofs_free(fsdev->fs);
	free(fsdev->chain);
	for (unsigned i = 0; i < FS_DEVICE_QUEUES_MAX; i++)
		fs_ring_release(&fsdev->rings[i]);
	virtio_device_release(dev);
	free(fsdev);
}

static const struct virtio_device_ops fs_device_ops = {
	.name = "fs",
	.id = VIRTIO_ID_FS,
	.config_len = sizeof(struct virtio_fs_config_space),
	.activate = fs_activate,
	.kick = fs_kick,
	.kick_lost = fs_kick_lost,
	.reset = fs_device_reset,
	.stop = fs_device_stop,
	.config_read = fs_config_read,
	.destroy = fs_device_destroy,
	.window_fault = fs_window_fault,
	.vcpu_started = fs_vcpu_started,
	.kick_now = fs_vcpu_kick,
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
	fsdev->dev.window = fs_dax_window(fsdev->fs);
	if (!config->workers)
		return 0;
	ret = fs_pool_init(&fsdev->pool, fsdev->fs, fsdev->dev.nqueues - 1,
			   &pool_ops);
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
	for (unsigned i = 0; i < FS_DEVICE_QUEUES_MAX; i++)
		fs_ring_init(&fsdev->rings[i], &fsdev->dev, i);
	memcpy(fsdev->space.tag, config->tag, strlen(config->tag));
	fsdev->space.num_request_queues = le32_make(queues);
	if (config->vcpus && config->workers)
		fsdev->dev.direct = (1u << fsdev->dev.nqueues) - 1;
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

bool virtiofs_device_has_handles(const struct virtio_device *dev)
{
	const struct virtiofs_device *fsdev =
		container_of(dev, const struct virtiofs_device, dev);

	return fsdev->fs->config.file_handles != VIRTIOFS_HANDLES_NEVER;
}
