/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio/blk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "vmm/virtio/blk_request.h"
#include "vmm/virtio/device.h"

#define QUEUE_SIZE 256u
/* Header and status take a segment each, of a ring that may be smaller than
 * ours: QEMU's has 128 entries, and Linux does not look. */
#define SEG_MAX (128u - 2)
/* Completions that wait for one interrupt, at most. */
#define SIGNAL_BATCH 16u

#define BLK_F_SEG_MAX (1ull << 2)
#define BLK_F_RO (1ull << 5)
#define BLK_F_BLK_SIZE (1ull << 6)
#define BLK_F_FLUSH (1ull << 9)
#define BLK_F_DISCARD (1ull << 13)
#define BLK_F_WRITE_ZEROES (1ull << 14)

/* 5.2.4 */
struct blk_config {
	le64 capacity;
	le32 size_max;
	le32 seg_max;
	uint8_t geometry[4];
	le32 blk_size;
	uint8_t topology[8];
	uint8_t writeback;
	uint8_t unused0;
	le16 num_queues;
	le32 max_discard_sectors;
	le32 max_discard_seg;
	le32 discard_sector_alignment;
	le32 max_write_zeroes_sectors;
	le32 max_write_zeroes_seg;
	uint8_t write_zeroes_may_unmap;
	uint8_t unused1[3];
};

_Static_assert(sizeof(struct blk_config) == 64, "no padding but the tail");
#define BLK_CONFIG_LEN 60u

enum worker_state {
	WORKER_STARTING,
	WORKER_RUNS,
	WORKER_FAILED,
	WORKER_STOPPING,
};

/*
 * Requests are carried out by a thread that lives from activate to reset and
 * owns the queue between them, so that a slow disk holds up nothing else.
 */
struct blk {
	struct virtio_device dev;
	struct blk_image image;
	struct blk_config config;
	int (*thread_started)(void *arg, const char *name);
	void *arg;

	pthread_t worker;
	pthread_mutex_t lock; /* guards the next two */
	enum worker_state state;
	bool kicked;
	pthread_cond_t changed;

	struct virtq_chain chain; /* the worker's */
};

static struct blk *to_blk(struct virtio_device *dev)
{
	return container_of(dev, struct blk, dev);
}

/* The worker. ----------------------------------------------------------- */

static bool wait_for_kick(struct blk *blk)
{
	bool go_on;

	pthread_mutex_lock(&blk->lock);
	while (!blk->kicked && blk->state != WORKER_STOPPING)
		pthread_cond_wait(&blk->changed, &blk->lock);
	blk->kicked = false;
	go_on = blk->state != WORKER_STOPPING;
	pthread_mutex_unlock(&blk->lock);
	return go_on;
}

static bool stopping(struct blk *blk)
{
	bool stop;

	pthread_mutex_lock(&blk->lock);
	stop = blk->state == WORKER_STOPPING;
	pthread_mutex_unlock(&blk->lock);
	return stop;
}

/* Until the queue is empty (true), the guest is at fault or we must stop. */
static bool serve(struct blk *blk, struct virtq *vq)
{
	unsigned unsignalled = 0;
	uint32_t used;
	int rc;

	while (!stopping(blk)) {
		rc = virtq_pop(vq, &blk->chain);
		if (rc == 0)
			break;
		if (rc < 0) {
			vdev_fault(&blk->dev, "broken ring");
			return false;
		}
		if (blk_execute(&blk->image, &blk->chain, &used) < 0) {
			vdev_fault(&blk->dev, "request of %zu+%zu bytes",
				   blk->chain.read_len, blk->chain.write_len);
			return false;
		}
		virtq_push(vq, blk->chain.head, used);
		if (++unsignalled == SIGNAL_BATCH) {
			virtio_device_signal(&blk->dev, 0);
			unsignalled = 0;
		}
	}
	virtio_device_signal(&blk->dev, 0);
	return !stopping(blk);
}

static void set_state(struct blk *blk, enum worker_state state)
{
	pthread_mutex_lock(&blk->lock);
	blk->state = state;
	pthread_cond_broadcast(&blk->changed);
	pthread_mutex_unlock(&blk->lock);
}

static void *work(void *arg)
{
	struct blk *blk = arg;
	struct virtq *vq = &blk->dev.queues[0];

	if (blk->thread_started && blk->thread_started(blk->arg, "blk") < 0) {
		set_state(blk, WORKER_FAILED);
		return NULL;
	}
	set_state(blk, WORKER_RUNS);
	while (wait_for_kick(blk)) {
		virtq_disable_kick(vq);
		do {
			if (!serve(blk, vq))
				break;
		} while (virtq_enable_kick(vq));
	}
	return NULL;
}

/* 0, or -errno with no thread left. */
static int start_worker(struct blk *blk)
{
	sigset_t all;
	sigset_t old;
	bool failed;
	int rc;

	blk->state = WORKER_STARTING;
	blk->kicked = false;
	/* Signals belong to the main thread. */
	sigfillset(&all);
	/* Except those of the accesses of its own: core/window.h. */
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&blk->worker, NULL, work, blk);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc)
		return -rc;
	pthread_mutex_lock(&blk->lock);
	while (blk->state == WORKER_STARTING)
		pthread_cond_wait(&blk->changed, &blk->lock);
	failed = blk->state == WORKER_FAILED;
	pthread_mutex_unlock(&blk->lock);
	if (!failed)
		return 0;
	pthread_join(blk->worker, NULL);
	return -EPERM;
}

/* The device. ----------------------------------------------------------- */

static int blk_activate(struct virtio_device *dev)
{
	struct blk *blk = to_blk(dev);

	blk->image.write_through = !virtio_has(dev, BLK_F_FLUSH);
	blk->image.may_discard = virtio_has(dev, BLK_F_DISCARD);
	blk->image.may_zero = virtio_has(dev, BLK_F_WRITE_ZEROES);
	return start_worker(blk);
}

static void blk_kick(struct virtio_device *dev, unsigned q)
{
	struct blk *blk = to_blk(dev);

	pthread_mutex_lock(&blk->lock);
	blk->kicked = true;
	pthread_cond_broadcast(&blk->changed);
	pthread_mutex_unlock(&blk->lock);
}

/* Waits for the request that is being carried out, no longer. */
static void blk_reset(struct virtio_device *dev)
{
	struct blk *blk = to_blk(dev);

	set_state(blk, WORKER_STOPPING);
	pthread_join(blk->worker, NULL);
}

static void blk_config_read(struct virtio_device *dev, size_t off, void *dst,
			    size_t len)
{
	memcpy(dst, (const uint8_t *)&to_blk(dev)->config + off, len);
}

static void blk_destroy(struct virtio_device *dev)
{
	struct blk *blk = to_blk(dev);

	close(blk->image.fd);
	pthread_cond_destroy(&blk->changed);
	pthread_mutex_destroy(&blk->lock);
	virtio_device_release(dev);
	free(blk);
}

static const struct virtio_device_ops blk_ops = {
	.name = "blk",
	.id = VIRTIO_ID_BLOCK,
	.config_len = BLK_CONFIG_LEN,
	.activate = blk_activate,
	.kick = blk_kick,
	.reset = blk_reset,
	.config_read = blk_config_read,
	.destroy = blk_destroy,
};

static int image_size(int fd, uint64_t *size, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "disk image: fstat");
	if (S_ISREG(st.st_mode)) {
		*size = (uint64_t)st.st_size;
	} else if (S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, size) < 0)
			return err_sys(err, "disk image: BLKGETSIZE64");
	} else {
		return err_set(err, EINVAL,
			       "disk image: neither a file nor a disk");
	}
	if (*size < BLK_SECTOR)
		return err_set(err, EINVAL,
			       "disk image: %llu bytes are no "
			       "sector",
			       (unsigned long long)*size);
	return 0;
}

static int open_image(struct blk_image *image,
		      const struct virtio_blk_config *config, struct err *err)
{
	size_t serial_len = config->serial ? strlen(config->serial) : 0;
	int flags = fcntl(config->fd, F_GETFL);
	uint64_t size;
	int rc;

	if (flags < 0)
		return err_sys(err, "disk image");
	if (!config->readonly && (flags & O_ACCMODE) != O_RDWR)
		return err_set(err, EACCES, "disk image: not open for writing");
	if (serial_len > sizeof(image->serial))
		return err_set(err, EINVAL,
			       "disk serial %s: longer than %zu bytes",
			       config->serial, sizeof(image->serial));
	rc = image_size(config->fd, &size, err);
	if (rc < 0)
		return rc;
	if (serial_len > 0)
		memcpy(image->serial, config->serial, serial_len);
	image->sectors = size / BLK_SECTOR;
	image->readonly = config->readonly;
	return 0;
}

static void fill_config(struct blk *blk)
{
	struct blk_config *c = &blk->config;

	c->capacity = le64_make(blk->image.sectors);
	c->seg_max = le32_make(SEG_MAX);
	c->blk_size = le32_make(BLK_SECTOR);
	c->num_queues = le16_make(1);
	if (blk->image.readonly)
		return;
	c->max_discard_sectors = le32_make(BLK_DISCARD_SECTORS_MAX);
	c->max_discard_seg = le32_make(BLK_RANGES_MAX);
	/* In sectors: what a hole in a file is made of. */
	c->discard_sector_alignment = le32_make(4096 / BLK_SECTOR);
	c->max_write_zeroes_sectors = le32_make(BLK_ZERO_SECTORS_MAX);
	c->max_write_zeroes_seg = le32_make(BLK_RANGES_MAX);
	c->write_zeroes_may_unmap = 1;
}

struct virtio_device *virtio_blk_new(const struct virtio_blk_config *config,
				     struct err *err)
{
	AUTO_FD int fd = config->fd;
	AUTO_FREE struct blk *blk = calloc(1, sizeof(*blk));
	uint64_t features = VIRTIO_RING_F_INDIRECT_DESC |
			    VIRTIO_RING_F_EVENT_IDX | BLK_F_SEG_MAX |
			    BLK_F_BLK_SIZE | BLK_F_FLUSH;

	if (!blk) {
		err_set(err, ENOMEM, "disk: out of memory");
		return NULL;
	}
	if (open_image(&blk->image, config, err) < 0)
		return NULL;
	features |= config->readonly ? BLK_F_RO
				     : BLK_F_DISCARD | BLK_F_WRITE_ZEROES;
	fill_config(blk);
	blk->image.fd = steal_fd(&fd);
	blk->thread_started = config->thread_started;
	blk->arg = config->arg;
	pthread_mutex_init(&blk->lock, NULL);
	pthread_cond_init(&blk->changed, NULL);
	virtio_device_init(&blk->dev, &blk_ops, features, 1, QUEUE_SIZE);
	return &steal_ptr(&blk)->dev;
}
