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

static int map_regions(struct vhost_user *vu, struct vu_msg *msg,
		       struct guestmem *mem)
{
	struct err err;
	unsigned i;
	int rc;

	for (i = 0; i < msg->payload.memory.count; i++) {
		const struct vu_region *r = &msg->payload.memory.regions[i];

		rc = check_file(vu, msg->fds[i]);
		if (rc < 0)
			return rc;
		rc = guestmem_add(mem, r->gpa, r->size, vu_msg_take_fd(msg, i),
				  r->offset, &err);
		if (rc < 0) {
			if (log_allowed(&vu->refused, 5))
				log_warn("vhost-user %s: %s",
					 vu->dev->ops->name, err.text);
			return rc;
		}
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
	guestmem_init(&mem);
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
