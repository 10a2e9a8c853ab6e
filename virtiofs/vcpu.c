/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/vcpu.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "virtiofs/device.h"

/* Requests for one notification: what more there is, of other vCPUs perhaps, is
 * for others, as the guest's program here wants to go on. */
#define BATCH 8u
/* What takes longer is no brief request. */
#define BRIEF_NS 4000000u
/* After one that was not, so many are left to others, and twice as many each
 * time. */
#define WAIT_MIN 16u
#define VAIN_MAX 8u
/* One after the other within so many of the longest windows of spin.h. */
#define SOON_WINDOWS 4ull

struct fs_vcpu {
	struct fs_thread *fs;
	unsigned vain;	  /* how often brief ones were not, less what were */
	unsigned wait;	  /* how many are left to others */
	uint64_t left_ns; /* when the guest went on */
	struct virtq_chain chain;
};

int fs_vcpu_started(struct virtio_device *dev, unsigned vcpu)
{
	struct virtiofs_device *fsdev = fs_device_of(dev);
	struct fs_vcpu *v;

	BUG_ON(vcpu >= VIRTIO_VCPUS_MAX || fsdev->vcpus.threads[vcpu]);
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->fs = fs_thread_new(fsdev->fs, true);
	if (!v->fs) {
		int ret = -errno;

		free(v);
		return ret;
	}
	fsdev->vcpus.threads[vcpu] = v;
	if (vcpu > 0)
		atomic_store_explicit(&fsdev->vcpus.several, true,
				      memory_order_relaxed);
	return 0;
}

void fs_vcpus_free(struct fs_vcpus *vcpus)
{
	for (unsigned i = 0; i < VIRTIO_VCPUS_MAX; i++) {
		if (vcpus->threads[i])
			fs_thread_free(vcpus->threads[i]->fs);
		free(vcpus->threads[i]);
	}
}

static long sleeps(void)
{
	struct rusage usage;

	return getrusage(RUSAGE_THREAD, &usage) ? 0 : usage.ru_nvcsw;
}

/* As virtiofs_try, with FS_BRIEF. */
static bool try_briefly(struct fs_vcpu *v, uint32_t *len)
{
	uint64_t start;
	long before;
	bool done;

	if (v->wait > 0) {
		v->wait--;
		return false;
	}
	/* Not those after the last one: the guest has run since then. */
	before = sleeps();
	start = monotonic_ns();
	done = virtiofs_try(v->fs, FS_BRIEF, len);
	if (sleeps() != before || monotonic_ns() - start > BRIEF_NS) {
		v->vain += v->vain < VAIN_MAX;
		v->wait = WAIT_MIN << v->vain;
	} else {
		v->vain -= v->vain > 0;
	}
	return done;
}

/* 1: done; 0: it is for others; -errno: that is the end. */
static int request(struct virtiofs_device *fsdev, struct fs_ring *ring,
		   struct fs_vcpu *v, uint32_t *len)
{
	int least = fs_device_begin(fsdev, ring, v->fs, &v->chain);

	if (least < 0)
		return least;
	v->fs->quick_max = fs_device_quick_max(fsdev);
	if (least == FS_NOWAIT && virtiofs_try(v->fs, FS_NOWAIT, len))
		return 1;
	return least <= FS_BRIEF && try_briefly(v, len);
}

/* All that is there, as the leader. False: others are to go on, and begin with
 * the request that was popped last when *popped. */
static bool serve(struct virtiofs_device *fsdev, struct fs_ring *ring,
		  struct fs_vcpu *v, bool *popped)
{
	uint32_t len;
	int ret;

	*popped = false;
	for (unsigned n = 0; n < BATCH; n++) {
		ret = fs_device_pop(fsdev, ring, &v->chain);
		if (ret == 0 && !fs_ring_rest(ring))
			return true;
		if (ret == 0)
			continue;
		if (ret > 0)
			ret = request(fsdev, ring, v, &len);
		*popped = ret == 0;
		if (ret == 0)
			return false;
		if (ret < 0) {
			fs_ring_leave(ring);
			return true;
		}
		fs_ring_push(ring, v->chain.head, len, true);
	}
	return !fs_ring_rest(ring);
}

/* Where requests come soon after each other, a thread of the pool is to look
 * for the next ones: while it does, they cost the guest no exit. It then needs
 * far less time between them than it does now. */
static void note_pace(struct virtiofs_device *fsdev, struct fs_ring *ring,
		      struct fs_vcpu *v, uint64_t entered)
{
	bool soon = entered - v->left_ns < SOON_WINDOWS * fs_spin_longest();

	v->left_ns = monotonic_ns();
	if (!soon || fsdev->vcpus.alone)
		return;
	atomic_store_explicit(&fsdev->hot, true, memory_order_relaxed);
	fs_device_call_pool(fsdev, ring);
}

bool fs_vcpu_kick(struct virtio_device *dev, unsigned q, unsigned vcpu)
{
	struct virtiofs_device *fsdev = fs_device_of(dev);
	struct fs_vcpu *v = fsdev->vcpus.threads[vcpu];
	struct fs_ring *ring = &fsdev->rings[q];
	uint64_t entered = monotonic_ns();
	enum fs_ring_entry entry = fs_ring_enter(ring);
	bool popped;

	if (entry != FS_RING_ENTERED)
		return entry == FS_RING_LED;
	if (serve(fsdev, ring, v, &popped)) {
		if (q != FS_QUEUE_HIPRIO)
			note_pace(fsdev, ring, v, entered);
		return true;
	}
	fs_ring_abandon(ring, popped);
	if (q == FS_QUEUE_HIPRIO)
		return false;
	fs_device_call_pool(fsdev, ring);
	return true;
}
