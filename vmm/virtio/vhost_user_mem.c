/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "vmm/virtio/vhost_user_internal.h"

static bool user_overlaps(const struct vu_region *a, const struct vu_region *b)
{
	return a->user < b->user + b->size && b->user < a->user + a->size;
}

/* Addresses of the front-end do not wrap or overlap; guestmem_add sees to
 * the guest's. */
static int check_regions(const struct vu_region *regions, unsigned n)
{
	unsigned i;
	unsigned k;

	for (i = 0; i < n; i++) {
		if (regions[i].size == 0 ||
		    regions[i].user > UINT64_MAX - regions[i].size)
			return -EINVAL;
		for (k = 0; k < i; k++) {
			if (user_overlaps(&regions[i], &regions[k]))
				return -EINVAL;
		}
	}
	return 0;
}

static int check_file(const struct vhost_user *vu, int fd)
{
	struct stat want;
	struct stat got;

	if (vu->options.memory_fd < 0)
		return 0;
	if (fstat(vu->options.memory_fd, &want) < 0 || fstat(fd, &got) < 0)
		return -errno;
	if (want.st_dev != got.st_dev || want.st_ino != got.st_ino)
		return -EACCES;
	return 0;
}

static int map_region(struct vhost_user *vu, struct vu_msg *msg, unsigned i,
		      struct guestmem *mem)
{
	const struct vu_region *r = &msg->payload.memory.regions[i];
	struct err err;
	int rc = check_file(vu, msg->fds[i]);

	if (rc < 0)
		return rc;
	rc = guestmem_add(mem, r->gpa, r->size, vu_msg_take_fd(msg, i),
			  r->offset, &err);
	if (rc < 0 && log_allowed(&vu->refused, 5))
		log_warn("vhost-user %s: %s", vu->dev->ops->name, err.text);
	return rc;
}

static int map_regions(struct vhost_user *vu, struct vu_msg *msg,
		       struct guestmem *mem)
{
	unsigned i;
	int rc = 0;

	for (i = 0; i < msg->payload.memory.count && !rc; i++)
		rc = map_region(vu, msg, i, mem);
	return rc;
}

static bool same_file(int a, int b)
{
	struct stat sa;
	struct stat sb;

	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 &&
	       sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

/* Which of those that are mapped this one is, or -1. */
static int mapped(const struct vhost_user *vu, const struct vu_msg *msg,
		  unsigned i)
{
	const struct vu_region *r = &msg->payload.memory.regions[i];
	unsigned k;

	for (k = 0; k < vu->mem.count; k++) {
		if (memcmp(r, &vu->regions[k], sizeof(*r)) == 0 &&
		    same_file(msg->fds[i], vu->mem.regions[k].fd))
			return (int)k;
	}
	return -1;
}

/*
 * Memory that was plugged comes to what there is: the device goes on, with what
 * a stop would cost it, such as connections. False: something goes away.
 */
static bool grows(const struct vhost_user *vu, const struct vu_msg *msg)
{
	unsigned kept = 0;
	unsigned i;

	for (i = 0; i < msg->payload.memory.count; i++)
		kept += mapped(vu, msg, i) >= 0;
	return vu->running && kept == vu->mem.count;
}

static int grow(struct vhost_user *vu, struct vu_msg *msg)
{
	unsigned i;

	for (i = 0; i < msg->payload.memory.count; i++) {
		unsigned at = vu->mem.count;
		int rc;

		if (mapped(vu, msg, i) >= 0)
			continue;
		rc = map_region(vu, msg, i, &vu->mem);
		if (rc < 0)
			return rc;
		vu->regions[at] = msg->payload.memory.regions[i];
	}
	return 0;
}

int vu_set_mem_table(struct vhost_user *vu, struct vu_msg *msg)
{
	const struct vu_memory *m = &msg->payload.memory;
	bool running = vu->running;
	struct guestmem mem;
	int rc;

	/* User-mode Linux sends room for two regions whatever the count. */
	if (m->count == 0 || m->count > VU_REGIONS_MAX ||
	    msg->nfds != m->count ||
	    msg->header.size < 8 + m->count * sizeof(struct vu_region))
		return -EINVAL;
	rc = check_regions(m->regions, m->count);
	if (rc < 0)
		return rc;
	if (grows(vu, msg))
		return grow(vu, msg);
	guestmem_init(&mem);
	/* What is not ours is the front-end's to cut short. */
	if (vu->options.memory_fd < 0)
		guestmem_guard(&mem, vu->retry.fd);
	rc = map_regions(vu, msg, &mem);
	if (rc < 0) {
		guestmem_release(&mem);
		return rc;
	}
	/* Nothing in flight holds a pointer into what goes away. */
	vu_stop(vu);
	vu_mem_release(vu);
	vu->mem = mem;
	memcpy(vu->regions, m->regions, sizeof(vu->regions));
	return running ? vu_start_ready(vu, true) : 0;
}

void vu_mem_release(struct vhost_user *vu)
{
	guestmem_release(&vu->mem);
}

int vu_to_gpa(const struct vhost_user *vu, uint64_t user, uint64_t *gpa)
{
	unsigned i;

	for (i = 0; i < vu->mem.count; i++) {
		const struct vu_region *r = &vu->regions[i];

		if (user < r->user || user - r->user >= r->size)
			continue;
		*gpa = r->gpa + (user - r->user);
		return 0;
	}
	return -EFAULT;
}
