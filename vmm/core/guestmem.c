/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/core/guestmem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/core/fault.h"

#define HUGE_PAGE (2ull << 20)

void guestmem_init(struct guestmem *mem)
{
	memset(mem, 0, sizeof(*mem));
}

/* Memory that is cut short. --------------------------------------------- */

struct guestmem_guard {
	struct fault_span span;
	int cut_fd;
	atomic_bool cut;
};

void guestmem_guard(struct guestmem *mem, int cut_fd)
{
	mem->guarded = true;
	mem->cut_fd = cut_fd;
}

bool guestmem_cut(const struct guestmem *mem)
{
	for (unsigned i = 0; i < mem->count; i++) {
		const struct guestmem_guard *g = mem->regions[i].guard;

		if (g && atomic_load(&g->cut))
			return true;
	}
	return false;
}

/* Async-signal-safe. The whole of it: a page here and there would soon be more
 * mappings than a process may have. */
static bool replace_region(struct fault_span *span, uint8_t *at)
{
	struct guestmem_guard *g =
		container_of(span, struct guestmem_guard, span);
	const uint64_t one = 1;

	if (mmap(span->host, (size_t)span->size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return false;
	atomic_store(&g->cut, true);
	(void)!write(g->cut_fd, &one, sizeof(one));
	return true;
}

static int guard(const struct guestmem *mem, struct guestmem_region *r)
{
	AUTO_FREE struct guestmem_guard *g = NULL;
	int ret;

	if (!mem->guarded)
		return 0;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	g->span = (struct fault_span){r->host, r->size, replace_region};
	g->cut_fd = mem->cut_fd;
	ret = fault_span_add(&g->span);
	if (!ret)
		r->guard = steal_ptr(&g);
	return ret;
}

static void unguard(struct guestmem_region *r)
{
	if (!r->guard)
		return;
	fault_span_del(&r->guard->span);
	free(steal_ptr(&r->guard));
}

/* Regions. -------------------------------------------------------------- */

static bool overlaps(const struct guestmem *mem, uint64_t gpa, uint64_t size)
{
	unsigned i;

	for (i = 0; i < mem->count; i++) {
		const struct guestmem_region *r = &mem->regions[i];

		/* Both ends were checked not to wrap. */
		if (gpa < r->gpa + r->size && r->gpa < gpa + size)
			return true;
	}
	return mem->window.size && gpa < mem->window.gpa + mem->window.size &&
	       mem->window.gpa < gpa + size;
}

/* 0, -EINVAL, -EEXIST or -ENOSPC: may this region be added? */
static int try_region(const struct guestmem *mem, uint64_t gpa, uint64_t size)
{
	if (size == 0 || size > SIZE_MAX || gpa > UINT64_MAX - size)
		return -EINVAL;
	if (overlaps(mem, gpa, size))
		return -EEXIST;
	if (mem->count == GUESTMEM_REGIONS_MAX)
		return -ENOSPC;
	return 0;
}

static int check_region(const struct guestmem *mem, uint64_t gpa, uint64_t size,
			struct err *err)
{
	int ret = try_region(mem, gpa, size);

	if (ret < 0)
		return err_ret(
			err, ret, "guest memory: region 0x%llx, 0x%llx bytes",
			(unsigned long long)gpa, (unsigned long long)size);
	return 0;
}

/* Memory may grow while others look things up in it. */
static void append(struct guestmem *mem, const struct guestmem_region *region)
{
	/* A core dump of this process is no place for a guest's secrets. */
	(void)madvise(region->host, (size_t)region->size, MADV_DONTDUMP);
	mem->regions[mem->count] = *region;
	__atomic_store_n(&mem->count, mem->count + 1, __ATOMIC_RELEASE);
}

/* The file must hold the whole region, to begin with. */
static int check_file(int fd, uint64_t offset, uint64_t size, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "guest memory: fstat");
	if (st.st_size < 0 || (uint64_t)st.st_size < offset ||
	    (uint64_t)st.st_size - offset < size)
		return err_set(err, EINVAL,
			       "guest memory: file of %lld bytes is too short",
			       (long long)st.st_size);
	return 0;
}

/* Where pages are huge, mmap rounds a length up, and munmap refuses it. */
static int check_pages(int fd, uint64_t offset, uint64_t size, struct err *err)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return err_sys(err, "guest memory: fstatfs");
	if (fs.f_type == HUGETLBFS_MAGIC)
		page = (uint64_t)fs.f_bsize;
	if (size % page || offset % page || offset > INT64_MAX)
		return err_set(err, EINVAL,
			       "guest memory: 0x%llx bytes at offset 0x%llx: "
			       "not in whole pages",
			       (unsigned long long)size,
			       (unsigned long long)offset);
	return 0;
}

int guestmem_add(struct guestmem *mem, uint64_t gpa, uint64_t size, int fd,
		 uint64_t offset, struct err *err)
{
	AUTO_FD int owned = fd;
	struct guestmem_region r = {.gpa = gpa, .size = size, .offset = offset};
	int rc;

	rc = check_region(mem, gpa, size, err);
	if (!rc)
		rc = check_pages(owned, offset, size, err);
	if (!rc)
		rc = check_file(owned, offset, size, err);
	if (rc < 0)
		return rc;
	r.host = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_NORESERVE, owned, (off_t)offset);
	if (r.host == MAP_FAILED)
		return err_sys(err, "guest memory: mmap of 0x%llx bytes",
			       (unsigned long long)size);
	rc = guard(mem, &r);
	if (rc < 0) {
		munmap(r.host, (size_t)size);
		return err_ret(err, rc, "guest memory: its faults");
	}
	r.fd = steal_fd(&owned);
	append(mem, &r);
	return 0;
}

int guestmem_add_new(struct guestmem *mem, uint64_t gpa, uint64_t size,
		     struct err *err)
{
	AUTO_FD int fd =
		memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(err, "guest memory: memfd_create");
	if (size > INT64_MAX)
		return err_set(err, EINVAL, "guest memory: size too large");
	if (ftruncate(fd, (off_t)size) < 0)
		return err_sys(err, "guest memory: ftruncate to 0x%llx",
			       (unsigned long long)size);
	/* Who shares the memory can no longer pull it from under us. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) <
	    0)
		return err_sys(err, "guest memory: sealing");
	return guestmem_add(mem, gpa, size, steal_fd(&fd), 0, err);
}

/* A huge page of the guest's must be one of ours: both addresses are the same
 * distance from a multiple of its size. */
static uint8_t *map_private(uint64_t gpa, size_t size)
{
	size_t whole = size + HUGE_PAGE, before;
	uint8_t *map;

	if (whole < size) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	map = mmap(NULL, whole, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return map;
	before = (gpa - (uintptr_t)map) & (HUGE_PAGE - 1);
	if (before)
		munmap(map, before);
	munmap(map + before + size, HUGE_PAGE - before);
	return map + before;
}

int guestmem_add_private(struct guestmem *mem, uint64_t gpa, uint64_t size,
			 bool huge, struct err *err)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint8_t *host;
	int rc;

	rc = check_region(mem, gpa, size, err);
	if (rc < 0)
		return rc;
	if (size % page || gpa % page)
		return err_set(err, EINVAL,
			       "guest memory: 0x%llx bytes at 0x%llx: not in "
			       "whole pages",
			       (unsigned long long)size,
			       (unsigned long long)gpa);
	host = map_private(gpa, (size_t)size);
	if (host == MAP_FAILED)
		return err_sys(err, "guest memory: mmap of 0x%llx bytes",
			       (unsigned long long)size);
	/* A host without huge pages refuses both. */
	(void)madvise(host, (size_t)size,
		      huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	append(mem, &(struct guestmem_region){
			    .gpa = gpa,
			    .size = size,
			    .host = host,
			    .fd = -1,
		    });
	return 0;
}

int guestmem_add_borrowed(struct guestmem *mem, uint64_t gpa, void *host,
			  uint64_t size)
{
	int rc = try_region(mem, gpa, size);

	if (rc < 0)
		return rc;
	mem->regions[mem->count++] = (struct guestmem_region){
		.gpa = gpa,
		.size = size,
		.host = host,
		.fd = -1,
		.borrowed = true,
	};
	return 0;
}

int guestmem_set_window(struct guestmem *mem, uint64_t gpa, void *host,
			uint64_t size)
{
	if (size == 0 || gpa > UINT64_MAX - size)
		return -EINVAL;
	if (mem->window.size || overlaps(mem, gpa, size))
		return -EEXIST;
	mem->window = (struct guestmem_region){
		.gpa = gpa,
		.size = size,
		.host = host,
		.fd = -1,
	};
	return 0;
}

void guestmem_release(struct guestmem *mem)
{
	unsigned i;

	for (i = 0; i < mem->count; i++) {
		struct guestmem_region *r = &mem->regions[i];

		if (r->borrowed)
			continue;
		unguard(r);
		munmap(r->host, (size_t)r->size);
		if (r->fd >= 0)
			close(r->fd);
	}
	memset(mem, 0, sizeof(*mem));
}

/* 1: the span lies in r; 0: it begins elsewhere; -EFAULT: it leaves r. */
static int region_iov(const struct guestmem_region *r, uint64_t gpa,
		      uint64_t len, struct iovec *iov)
{
	uint64_t off;

	if (gpa < r->gpa)
		return 0;
	off = gpa - r->gpa;
	if (off >= r->size)
		return 0;
	if (len > r->size - off)
		return -EFAULT;
	iov->iov_base = r->host + off;
	iov->iov_len = (size_t)len;
	return 1;
}

int guestmem_iov(const struct guestmem *mem, uint64_t gpa, uint64_t len,
		 struct iovec *iov)
{
	unsigned count = __atomic_load_n(&mem->count, __ATOMIC_ACQUIRE);
	unsigned i;
	int ret = 0;

	if (len == 0)
		return -EFAULT;
	/* Regions do not overlap: only one can hold gpa. */
	for (i = 0; i < count && ret == 0; i++)
		ret = region_iov(&mem->regions[i], gpa, len, iov);
	return ret == 1 ? 0 : -EFAULT;
}

int guestmem_buffer_iov(const struct guestmem *mem, uint64_t gpa, uint64_t len,
			struct iovec *iov)
{
	int ret = guestmem_iov(mem, gpa, len, iov);

	if (ret < 0 && len != 0)
		ret = region_iov(&mem->window, gpa, len, iov) == 1 ? 0
								   : -EFAULT;
	return ret;
}

int guestmem_read(const struct guestmem *mem, uint64_t gpa, void *dst,
		  size_t len)
{
	struct iovec iov;
	int rc = guestmem_iov(mem, gpa, len, &iov);

	if (rc < 0)
		return rc;
	memcpy(dst, iov.iov_base, len);
	return 0;
}

int guestmem_write(const struct guestmem *mem, uint64_t gpa, const void *src,
		   size_t len)
{
	struct iovec iov;
	int rc = guestmem_iov(mem, gpa, len, &iov);

	if (rc < 0)
		return rc;
	memcpy(iov.iov_base, src, len);
	return 0;
}
