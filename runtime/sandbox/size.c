/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/size.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "runtime/oci/spec.h"
#include "vmm/vmm.h"

#define MIB (1ull << 20)
#define CPU_PERIOD_US 100000u /* the kernel's own */
#define CRI "io.kubernetes.cri.sandbox-"

static void own_limits(struct sandbox_size *size, const Oci__Spec *first)
{
	const Oci__LinuxResources *r =
		first->linux_config ? first->linux_config->resources : NULL;

	oci__linux_resources__init(&size->limits);
	oci__linux_memory__init(&size->memory);
	oci__linux_cpu__init(&size->cpu);
	if (r && r->memory)
		size->memory = *r->memory;
	if (r && r->cpu)
		size->cpu = *r->cpu;
	size->limits.memory = &size->memory;
	size->limits.cpu = &size->cpu;
}

/* 1: it is there. */
static int number(const Oci__Spec *spec, const char *key, int64_t *out,
		  struct err *err)
{
	const char *text = oci_annotation(spec, key);
	char *end;

	if (!text)
		return 0;
	errno = 0;
	*out = strtoll(text, &end, 10);
	if (errno || end == text || *end)
		return err_set(err, EINVAL,
			       "annotation %s: \"%s\": expected a number", key,
			       text);
	return 1;
}

/* The first container of a pod is an empty one, with limits of its own. */
static int pod_limits(struct sandbox_size *size, const Oci__Spec *first,
		      struct err *err)
{
	int64_t memory = 0, quota = 0, period = 0, shares = 0;
	const struct {
		const char *key;
		int64_t *value;
	} all[] = {
		{CRI "memory", &memory},
		{CRI "cpu-quota", &quota},
		{CRI "cpu-period", &period},
		{CRI "cpu-shares", &shares},
	};
	bool any = false;

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		int ret = number(first, all[i].key, all[i].value, err);

		if (ret < 0)
			return ret;
		any |= ret > 0;
	}
	if (!any)
		return 0;
	size->memory.limit = memory;
	size->cpu.quota = quota;
	size->cpu.period = period > 0 ? (uint64_t)period : 0;
	size->cpu.shares = shares > 0 ? (uint64_t)shares : 0;
	return 0;
}

static uint64_t vm_memory(const struct sandbox_size *size,
			  const struct config *config)
{
	uint64_t bytes = config->default_memory * MIB;

	if (size->memory.limit > 0)
		bytes = MAX(bytes, (uint64_t)size->memory.limit +
					   config->overhead_memory * MIB);
	return (bytes + 2 * MIB - 1) & ~(2 * MIB - 1);
}

static unsigned vcpus(const struct sandbox_size *size,
		      const struct config *config)
{
	uint64_t period = size->cpu.period ? size->cpu.period : CPU_PERIOD_US;
	uint64_t quota = (uint64_t)size->cpu.quota;

	if (size->cpu.quota <= 0)
		return config->default_vcpus;
	return (unsigned)MIN(quota / period + (quota % period != 0),
			     (uint64_t)VM_VCPUS_MAX);
}

int sandbox_size(struct sandbox_size *size, const Oci__Spec *first,
		 const struct config *config, struct err *err)
{
	const char *sandbox;
	enum oci_role role;
	int ret = oci_role(first, &role, &sandbox, err);

	own_limits(size, first);
	if (!ret && role == OCI_POD_SANDBOX)
		ret = pod_limits(size, first, err);
	size->vcpus = vcpus(size, config);
	size->vm_memory = vm_memory(size, config);
	size->host_memory = size->vm_memory + config->overhead_memory * MIB;
	return ret;
}
