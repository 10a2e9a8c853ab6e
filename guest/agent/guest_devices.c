/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/guest_devices.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "guest/agent/block.h"

const char *const guest_device_types[] = {"blk", "mmioblk", "nvdimm", NULL};

static int find(const Agent__Device *d, dev_t *dev, struct err *err)
{
	char path[BLOCK_PATH_MAX];

	for (size_t i = 0; guest_device_types[i]; i++) {
		if (strcmp(d->type, guest_device_types[i]) == 0)
			return block_find(d->id[0] ? d->id : d->vm_path, path,
					  dev, err);
	}
	return err_set(err, ENOTSUP, "device type %.32s: not supported",
		       d->type);
}

int guest_devices_ready(Agent__Device *const *devices, size_t n,
			struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int ret = find(devices[i], NULL, err);

		if (ret < 0)
			return ret;
	}
	return 0;
}

static Oci__LinuxDevice *in_spec(const Oci__Linux *l, const char *path)
{
	for (size_t i = 0; i < l->n_devices; i++) {
		if (strcmp(l->devices[i]->path, path) == 0)
			return l->devices[i];
	}
	return NULL;
}

/* For each rule of the spec: it speaks of a device that has its number. */
static void move_rules(const Oci__Linux *l, bool *moved,
		       const Oci__LinuxDevice *old, dev_t dev)
{
	for (size_t i = 0; l->resources && i < l->resources->n_devices; i++) {
		Oci__LinuxDeviceCgroup *rule = l->resources->devices[i];

		if (moved[i] || strcmp(rule->type, old->type) != 0 ||
		    rule->major != old->major || rule->minor != old->minor)
			continue;
		rule->major = major(dev);
		rule->minor = minor(dev);
		moved[i] = true;
	}
}

int guest_devices_apply(Agent__Device *const *devices, size_t n, Oci__Linux *l,
			struct err *err)
{
	size_t rules = l->resources ? l->resources->n_devices : 0;
	/* A number of the host may be one of the guest as well: each rule
	 * changes once. */
	AUTO_FREE bool *moved = calloc(rules + 1, sizeof(*moved));

	if (!moved)
		return err_set(err, ENOMEM, "devices: out of memory");
	for (size_t i = 0; i < n; i++) {
		Oci__LinuxDevice *d;
		dev_t dev;
		int ret = find(devices[i], &dev, err);

		if (ret < 0)
			return ret;
		if (!devices[i]->container_path[0])
			continue; /* only to be there */
		d = in_spec(l, devices[i]->container_path);
		if (!d)
			return err_set(err, EINVAL,
				       "device %.128s: not in the spec",
				       devices[i]->container_path);
		if (strcmp(d->type, "b") != 0)
			return err_set(err, EINVAL,
				       "device %.128s: type %.8s in the spec",
				       d->path, d->type);
		move_rules(l, moved, d, dev);
		d->major = major(dev);
		d->minor = minor(dev);
	}
	return 0;
}
