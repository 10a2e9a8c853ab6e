/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/virtio/vhost_user_internal.h"

/*
 * The memory is ours to lay out, and the front-end's to keep: it gives it to
 * the next of us, which is of the same make. One map after the other.
 */
#define MAP_ALIGN 64u

static size_t stride(uint16_t size)
{
	return (inflight_len(size) + MAP_ALIGN - 1) / MAP_ALIGN * MAP_ALIGN;
}

static int check_shape(const struct vhost_user *vu,
		       const struct vu_inflight *shape)
{
	if (shape->num_queues == 0 || shape->num_queues > vu->dev->nqueues ||
	    shape->queue_size == 0 || shape->queue_size > VIRTQ_SIZE_MAX)
		return -EINVAL;
	return 0;
}

int vu_get_inflight_fd(struct vhost_user *vu, struct vu_msg *msg)
{
	struct vu_inflight *shape = &msg->payload.inflight;
	AUTO_FD int fd = -1;

	if (check_shape(vu, shape) < 0)
		return -EINVAL;
	shape->mmap_size = shape->num_queues * stride(shape->queue_size);
	shape->mmap_offset = 0;
	fd = memfd_create("vhost-inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)shape->mmap_size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) <
		    0)
		return -errno;
	msg->header.size = sizeof(*shape);
	vu->reply_fd = steal_fd(&fd);
	return 0;
}

/* Sealed: what could shrink below us would end us by a signal. Of huge pages,
 * our length could be mapped and not unmapped. */
static int check_file(int fd, const struct vu_inflight *shape)
{
	uint64_t need = shape->num_queues * stride(shape->queue_size);
	struct statfs fs;
	struct stat st;
	int seals;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || fs.f_type == HUGETLBFS_MAGIC)
		return -EINVAL;
	seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || !(seals & F_SEAL_SHRINK))
		return -EPERM;
	if (shape->mmap_size < need ||
	    shape->mmap_offset % (uint64_t)sysconf(_SC_PAGESIZE) != 0 ||
	    shape->mmap_size > (uint64_t)st.st_size ||
	    shape->mmap_offset > (uint64_t)st.st_size - shape->mmap_size)
		return -EINVAL;
	return 0;
}

int vu_set_inflight_fd(struct vhost_user *vu, struct vu_msg *msg)
{
	const struct vu_inflight *shape = &msg->payload.inflight;
	bool running = vu->running;
	size_t len;
	void *map;
	int rc;

	if (msg->nfds != 1 || check_shape(vu, shape) < 0)
		return -EINVAL;
	rc = check_file(msg->fds[0], shape);
	if (rc < 0)
		return rc;
	len = shape->num_queues * stride(shape->queue_size);
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, msg->fds[0],
		   (off_t)shape->mmap_offset);
	if (map == MAP_FAILED)
		return -errno;
	vu_stop(vu);
	vu_inflight_release(vu);
	vu->inflight = map;
	vu->inflight_len = len;
	vu->inflight_queues = shape->num_queues;
	vu->inflight_size = shape->queue_size;
	return running ? vu_start_ready(vu, true) : 0;
}

struct inflight_map *vu_inflight_map(const struct vhost_user *vu, unsigned q)
{
	if (!vu->inflight || q >= vu->inflight_queues ||
	    vu->rings[q].size > vu->inflight_size)
		return NULL;
	return (void *)(vu->inflight + q * stride(vu->inflight_size));
}

void vu_inflight_release(struct vhost_user *vu)
{
	unsigned i;

	for (i = 0; i < VIRTIO_QUEUES_MAX; i++)
		inflight_release(&vu->rings[i].track);
	if (vu->inflight)
		munmap(vu->inflight, vu->inflight_len);
	vu->inflight = NULL;
	vu->inflight_len = 0;
	vu->inflight_queues = 0;
}
