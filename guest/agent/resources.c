/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/resources.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/cgroup_bpf.h"

static int put(int dir, const char *what, struct err *err, const char *file,
	       const char *fmt, ...) PRINTF(5, 6);

/* Writes one value; what is the user's name for it. */
static int put(int dir, const char *what, struct err *err, const char *file,
	       const char *fmt, ...)
{
	char text[256];
	va_list ap;
	int ret, n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		return err_set(err, EINVAL, "%s: too long", what);
	ret = file_write(dir, file, text);
	if (ret == -ENOENT)
		return err_set(err, ENOTSUP,
			       "%s: the guest's cgroups have no %s", what,
			       file);
	if (ret < 0)
		return err_ret(err, ret, "%s: writing \"%s\" to %s", what, text,
			       file);
	return 0;
}

static int put_limit(int dir, const char *what, struct err *err,
		     const char *file, int64_t value)
{
	if (value < 0)
		return put(dir, what, err, file, "max");
	return put(dir, what, err, file, "%" PRId64, value);
}

/* What is in use would be reclaimed, or killed for. */
static int check_usage(int dir, const Oci__LinuxMemory *m, struct err *err)
{
	AUTO_FREE char *text = NULL;
	uint64_t usage;
	int ret;

	if (!m->check_before_update || m->limit <= 0)
		return 0;
	ret = file_read(dir, "memory.current", 32, &text, NULL);
	if (ret < 0)
		return err_ret(err, ret, "memory checkBeforeUpdate");
	usage = strtoull(text, NULL, 10);
	if ((uint64_t)m->limit < usage)
		return err_set(err, EBUSY,
			       "memory limit: %" PRId64 " is less than the "
			       "%" PRIu64 " in use (checkBeforeUpdate)",
			       m->limit, usage);
	return 0;
}

static int set_memory(int dir, const Oci__LinuxMemory *m, struct err *err)
{
	int ret;

	if (m->swappiness || m->disable_oom_killer)
		return err_set(
			err, ENOTSUP, "memory %s: not in cgroup version 2",
			m->swappiness ? "swappiness" : "disableOOMKiller");
	if (m->kernel > 0 || m->kernel_tcp > 0)
		return err_set(err, ENOTSUP,
			       "memory %s: not in cgroup version 2",
			       m->kernel > 0 ? "kernel" : "kernelTCP");
	if (m->swap > 0 && m->limit > 0 && m->swap < m->limit)
		return err_set(err, EINVAL,
			       "memory swap: less than the memory limit");
	ret = check_usage(dir, m, err);
	if (!ret && m->limit)
		ret = put_limit(dir, "memory limit", err, "memory.max",
				m->limit);
	if (!ret && m->reservation)
		ret = put_limit(dir, "memory reservation", err, "memory.low",
				m->reservation);
	if (!ret && m->swap) {
		/* Version 1 counts memory and swap together. */
		if (m->swap > 0 && m->limit <= 0)
			return err_set(err, EINVAL,
				       "memory swap: needs a memory limit");
		ret = put_limit(dir, "memory swap", err, "memory.swap.max",
				m->swap < 0 ? -1 : m->swap - m->limit);
		/* A kernel without swap keeps to every limit of it. */
		if (ret == -ENOTSUP)
			ret = 0;
	}
	return ret;
}

uint64_t cpu_weight(uint64_t shares)
{
	if (shares < 2)
		shares = 2;
	if (shares > 262144)
		shares = 262144;
	return 1 + (shares - 2) * 9999 / 262142;
}

static int set_idle(int dir, const Oci__LinuxCPU *c, struct err *err)
{
	return put(dir, "cpu idle", err, "cpu.idle", "%" PRId64, c->idle);
}

static int set_burst(int dir, const Oci__LinuxCPU *c, struct err *err)
{
	return put(dir, "cpu burst", err, "cpu.max.burst", "%" PRIu64,
		   c->burst);
}

/* Hosts that do not say whether they give them mean another number than 0.
 * The kernel takes no weight of an idle group, and no quota less than the
 * burst: 0 comes first, all else last. */
static int set_cpu(int dir, const Oci__LinuxCPU *c, struct err *err)
{
	int ret = 0;

	if (c->realtime_runtime || c->realtime_period)
		return err_set(err, ENOTSUP,
			       "cpu realtime: not in cgroup version 2");
	if (c->has_idle && !c->idle)
		ret = set_idle(dir, c, err);
	if (!ret && c->has_burst && !c->burst)
		ret = set_burst(dir, c, err);
	if (!ret && c->shares)
		ret = put(dir, "cpu shares", err, "cpu.weight", "%" PRIu64,
			  cpu_weight(c->shares));
	if (!ret && (c->quota || c->period)) {
		uint64_t period = c->period ? c->period : 100000;

		ret = c->quota > 0
			      ? put(dir, "cpu quota", err, "cpu.max",
				    "%" PRId64 " %" PRIu64, c->quota, period)
			      : put(dir, "cpu quota", err, "cpu.max",
				    "max %" PRIu64, period);
	}
	if (!ret && c->burst)
		ret = set_burst(dir, c, err);
	if (!ret && c->idle)
		ret = set_idle(dir, c, err);
	if (!ret && c->cpus[0])
		ret = put(dir, "cpuset cpus", err, "cpuset.cpus", "%s",
			  c->cpus);
	if (!ret && c->mems[0])
		ret = put(dir, "cpuset mems", err, "cpuset.mems", "%s",
			  c->mems);
	return ret;
}

static int set_throttle(int dir, const char *key, size_t n,
			Oci__LinuxThrottleDevice *const *devices,
			struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const Oci__LinuxThrottleDevice *d = devices[i];
		int ret = put(dir, "blockIO throttle", err, "io.max",
			      "%" PRId64 ":%" PRId64 " %s=%" PRIu64, d->major,
			      d->minor, key, d->rate);

		if (ret < 0)
			return ret;
	}
	return 0;
}

/* Of the BFQ scheduler, whose range is version 1's, or of io.cost. */
static int put_io_weight(int dir, struct err *err, const char *device,
			 uint32_t weight)
{
	if (weight < 10 || weight > 1000)
		return err_set(err, EINVAL, "blockIO weight: %u, not 10..1000",
			       weight);
	if (faccessat(dir, "io.bfq.weight", F_OK, 0) == 0)
		return put(dir, "blockIO weight", err, "io.bfq.weight", "%s%u",
			   device, weight);
	if (faccessat(dir, "io.weight", F_OK, 0) == 0)
		return put(dir, "blockIO weight", err, "io.weight", "%s%u",
			   device, 1 + (weight - 10) * 9999 / 990);
	log_warn("blockIO weight: no scheduler in the guest has it");
	return 0;
}

static int set_io_weights(int dir, const Oci__LinuxBlockIO *b, struct err *err)
{
	int ret = 0;

	if (b->leaf_weight)
		return err_set(err, ENOTSUP,
			       "blockIO leafWeight: not in cgroup version 2");
	if (b->weight)
		ret = put_io_weight(dir, err, "", b->weight);
	for (size_t i = 0; !ret && i < b->n_weight_device; i++) {
		const Oci__LinuxWeightDevice *d = b->weight_device[i];
		char device[48];

		(void)snprintf(device, sizeof(device),
			       "%" PRId64 ":%" PRId64 " ", d->major, d->minor);
		if (d->leaf_weight)
			return err_set(err, ENOTSUP,
				       "blockIO weightDevice leafWeight: not "
				       "in cgroup version 2");
		if (d->weight)
			ret = put_io_weight(dir, err, device, d->weight);
	}
	return ret;
}

static int set_block_io(int dir, const Oci__LinuxBlockIO *b, struct err *err)
{
	int ret = set_io_weights(dir, b, err);

	if (ret < 0)
		return ret;
	ret = set_throttle(dir, "rbps", b->n_throttle_read_bps_device,
			   b->throttle_read_bps_device, err);
	if (!ret)
		ret = set_throttle(dir, "wbps", b->n_throttle_write_bps_device,
				   b->throttle_write_bps_device, err);
	if (!ret)
		ret = set_throttle(dir, "riops", b->n_throttle_read_iops_device,
				   b->throttle_read_iops_device, err);
	if (!ret)
		ret = set_throttle(dir, "wiops",
				   b->n_throttle_write_iops_device,
				   b->throttle_write_iops_device, err);
	return ret;
}

static int set_hugepages(int dir, const Oci__LinuxResources *r, struct err *err)
{
	for (size_t i = 0; i < r->n_hugepage_limits; i++) {
		const Oci__LinuxHugepageLimit *h = r->hugepage_limits[i];
		char file[64];
		int ret;

		if (strlen(h->pagesize) > 16 || strchr(h->pagesize, '/'))
			return err_set(err, EINVAL,
				       "hugepage limit: %.32s: "
				       "not a page size",
				       h->pagesize);
		(void)snprintf(file, sizeof(file), "hugetlb.%s.max",
			       h->pagesize);
		ret = put(dir, "hugepage limit", err, file, "%" PRIu64,
			  h->limit);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int set_unified(int dir, const Oci__LinuxResources *r, struct err *err)
{
	for (size_t i = 0; i < r->n_unified; i++) {
		const Oci__Pair *p = r->unified[i];
		int ret;

		/* The keys of the cgroup core are the agent's own tools. */
		if (strchr(p->key, '/') || !strchr(p->key, '.') ||
		    p->key[0] == '.' || strncmp(p->key, "cgroup.", 7) == 0)
			return err_set(err, EINVAL,
				       "unified: %.64s: not a resource",
				       p->key);
		ret = put(dir, p->key, err, p->key, "%s", p->value);
		if (ret < 0)
			return ret;
	}
	return 0;
}

int resources_apply(int dir, const Oci__LinuxResources *r, struct err *err)
{
	int ret = 0;

	if (r->network && (r->network->class_id || r->network->n_priorities))
		return err_set(err, ENOTSUP,
			       "network classes: not in cgroup version 2");
	if (r->memory)
		ret = set_memory(dir, r->memory, err);
	if (!ret && r->cpu)
		ret = set_cpu(dir, r->cpu, err);
	if (!ret && r->pids && r->pids->limit)
		ret = put_limit(dir, "pids limit", err, "pids.max",
				r->pids->limit);
	if (!ret && r->block_io)
		ret = set_block_io(dir, r->block_io, err);
	if (!ret)
		ret = set_hugepages(dir, r, err);
	if (!ret)
		ret = set_unified(dir, r, err);
	return ret;
}

static int set_devices(struct cgroup *cg, const Oci__LinuxResources *r,
		       struct err *err)
{
	return cgroup_bpf_set(cg->dir, &cg->devices, r ? r->devices : NULL,
			      r ? r->n_devices : 0, err);
}

int resources_setup(struct cgroup *cg, const Oci__LinuxResources *r,
		    struct err *err)
{
	int ret = set_devices(cg, r, err);

	return ret < 0 || !r ? ret : resources_apply(cg->dir, r, err);
}

int resources_update(struct cgroup *cg, const Oci__LinuxResources *r,
		     struct err *err)
{
	int ret = resources_apply(cg->dir, r, err);

	return ret < 0 || r->n_devices == 0 ? ret : set_devices(cg, r, err);
}
