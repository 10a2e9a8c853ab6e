/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/core/iobus.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"

int iobus_add(struct iobus *bus, struct iodev *dev, uint64_t base,
	      uint64_t size)
{
	unsigned i = 0;

	if (size == 0 || size - 1 > UINT64_MAX - base)
		return -EINVAL;
	if (bus->count == IOBUS_DEVICES_MAX)
		return -ENOSPC;
	while (i < bus->count && bus->devices[i]->base < base)
		i++;
	if (i < bus->count && bus->devices[i]->base - base < size)
		return -EEXIST;
	if (i > 0 &&
	    base - bus->devices[i - 1]->base < bus->devices[i - 1]->size)
		return -EEXIST;
	memmove(&bus->devices[i + 1], &bus->devices[i],
		(bus->count - i) * sizeof(bus->devices[0]));
	dev->base = base;
	dev->size = size;
	bus->devices[i] = dev;
	bus->count++;
	return 0;
}

void iobus_del(struct iobus *bus, struct iodev *dev)
{
	unsigned i = 0;

	while (i < bus->count && bus->devices[i] != dev)
		i++;
	if (i == bus->count)
		return;
	bus->count--;
	memmove(&bus->devices[i], &bus->devices[i + 1],
		(bus->count - i) * sizeof(bus->devices[0]));
}

static struct iodev *find(const struct iobus *bus, uint64_t addr, unsigned len)
{
	unsigned lo = 0, hi = bus->count;
	struct iodev *dev;

	if (len != 1 && len != 2 && len != 4 && len != 8)
		return NULL;
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (bus->devices[mid]->base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return NULL;
	dev = bus->devices[lo - 1];
	if (addr - dev->base >= dev->size ||
	    dev->size - (addr - dev->base) < len)
		return NULL;
	return dev;
}

void iobus_read(const struct iobus *bus, uint64_t addr, void *data,
		unsigned len)
{
	struct iodev *dev = find(bus, addr, len);
	le64 value;

	if (!dev) {
		memset(data, 0xff, len);
		return;
	}
	value = le64_make(dev->ops->read(dev, addr - dev->base, len));
	memcpy(data, &value, len);
}

void iobus_write(const struct iobus *bus, uint64_t addr, const void *data,
		 unsigned len)
{
	struct iodev *dev = find(bus, addr, len);
	le64 value = {0};

	if (!dev)
		return;
	memcpy(&value, data, len);
	dev->ops->write(dev, addr - dev->base, len, le64_get(value));
}
