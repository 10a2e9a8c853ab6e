/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_pci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_pci.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compiler.h"
#include "integration/virtiofs/hostile_link.h"

#define DEVICES "/sys/bus/pci/devices"
#define VENDOR 0x1af4u
#define DEVICE 0x105au /* virtio 1.2, 5.11.1 */
#define FLAG_PORTS 0x100u
/* Of configuration space. */
#define COMMAND 0x04u
#define COMMAND_ALL 7u /* ports, memory, bus master */
#define CAPABILITIES 0x34u
#define CAP_VENDOR 9u

struct pci_bar pci_bars[PCI_BARS];

static char device[300]; /* its directory */
static int config = -1;
static volatile uint8_t *common;
static struct {
	unsigned bar;
	uint32_t offset;
	uint32_t step;
} notify;

static FILE *attribute(const char *dir, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fopen(path, "re");
}

static unsigned long number(const char *dir, const char *name)
{
	FILE *f = attribute(dir, name);
	unsigned long value = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%lx", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

static void put(const char *name, const char *text, bool needed)
{
	char path[400];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", device, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 && !needed)
		return;
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		link_die(path);
	close(fd);
}

static void find(void)
{
	const struct dirent *d;
	DIR *dir = opendir(DEVICES);

	while (dir && (d = readdir(dir))) {
		snprintf(device, sizeof(device), DEVICES "/%s", d->d_name);
		if (d->d_name[0] != '.' && number(device, "vendor") == VENDOR &&
		    number(device, "device") == DEVICE)
			break;
		device[0] = 0;
	}
	if (dir)
		closedir(dir);
	if (!device[0])
		link_die("no virtio-fs device");
}

/* BARs. -------------------------------------------------------------------- */

static void bar_open(unsigned i, bool ports)
{
	struct pci_bar *bar = &pci_bars[i];
	char path[400];
	void *at;
	int fd;

	snprintf(path, sizeof(path), "%s/resource%u", device, i);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		link_die(path);
	if (ports) {
		bar->ports = fd;
		return;
	}
	at = mmap(NULL, bar->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		link_die(path);
	bar->at = at;
}

/* A line for each: its first and last address, and its flags. */
static void bars_open(void)
{
	unsigned long first, last, flags;
	FILE *f = attribute(device, "resource");

	for (unsigned i = 0; i < PCI_BARS; i++) {
		pci_bars[i].ports = -1;
		if (!f || fscanf(f, "%lx %lx %lx", &first, &last, &flags) != 3)
			link_die("resource");
		if (!first)
			continue;
		pci_bars[i].address = first;
		pci_bars[i].size = last - first + 1;
		bar_open(i, (flags & FLAG_PORTS) != 0);
	}
	fclose(f);
}

/* One access each: what a compiler makes of a copy is no register's. */
uint64_t pci_bar_read(unsigned i, uint64_t at, unsigned width)
{
	volatile uint8_t *p = pci_bars[i].at + at;
	uint64_t value = 0;

	if (!pci_bars[i].at) {
		if (pread(pci_bars[i].ports, &value, width, (off_t)at) < 0)
			return UINT64_MAX;
		return value;
	}
	switch (width) {
	case 1:
		return *p;
	case 2:
		return *(volatile uint16_t *)(uintptr_t)p;
	case 4:
		return *(volatile uint32_t *)(uintptr_t)p;
	default:
		return *(volatile uint64_t *)(uintptr_t)p;
	}
}

void pci_bar_write(unsigned i, uint64_t at, unsigned width, uint64_t value)
{
	volatile uint8_t *p = pci_bars[i].at + at;

	if (!pci_bars[i].at) {
		(void)!pwrite(pci_bars[i].ports, &value, width, (off_t)at);
		return;
	}
	switch (width) {
	case 1:
		*p = (uint8_t)value;
		break;
	case 2:
		*(volatile uint16_t *)(uintptr_t)p = (uint16_t)value;
		break;
	case 4:
		*(volatile uint32_t *)(uintptr_t)p = (uint32_t)value;
		break;
	default:
		*(volatile uint64_t *)(uintptr_t)p = value;
		break;
	}
}

/* Configuration space. ----------------------------------------------------- */

void pci_config_read(unsigned at, void *bytes, size_t len)
{
	if (pread(config, bytes, len, at) != (ssize_t)len)
		link_die("configuration space");
}

void pci_config_write(unsigned at, const void *bytes, size_t len)
{
	if (pwrite(config, bytes, len, at) != (ssize_t)len)
		link_die("configuration space");
}

unsigned pci_capability(uint8_t type)
{
	struct virtio_pci_cap cap;
	uint8_t at;

	pci_config_read(CAPABILITIES, &at, 1);
	for (unsigned n = 0; at && n < 48; n++) {
		pci_config_read(at, &cap, sizeof(cap));
		if (cap.cap_vndr == CAP_VENDOR && cap.cfg_type == type)
			return at;
		at = cap.cap_next;
	}
	return 0;
}

static void structures_find(void)
{
	struct virtio_pci_notify_cap cap;
	unsigned at = pci_capability(VIRTIO_PCI_CAP_COMMON_CFG);

	pci_config_read(at, &cap, sizeof(cap));
	if (!at || cap.cap.bar >= PCI_BARS || !pci_bars[cap.cap.bar].at)
		link_die("no common structure");
	common = pci_bars[cap.cap.bar].at + cap.cap.offset;
	at = pci_capability(VIRTIO_PCI_CAP_NOTIFY_CFG);
	pci_config_read(at, &cap, sizeof(cap));
	if (!at || cap.cap.bar >= PCI_BARS)
		link_die("no doorbells");
	notify.bar = cap.cap.bar;
	notify.offset = cap.cap.offset;
	notify.step = cap.notify_off_multiplier;
}

void pci_take(void)
{
	const uint16_t command = COMMAND_ALL;
	char path[400];

	find();
	put("driver/unbind", strrchr(device, '/') + 1, false);
	put("enable", "1", true);
	snprintf(path, sizeof(path), "%s/config", device);
	config = open(path, O_RDWR | O_CLOEXEC);
	if (config < 0)
		link_die(path);
	pci_config_write(COMMAND, &command, sizeof(command));
	bars_open();
	structures_find();
}

/* Registers. --------------------------------------------------------------- */

uint64_t pci_read(unsigned reg, unsigned width)
{
	return pci_bar_read(0, (uint64_t)(common - pci_bars[0].at) + reg,
			    width);
}

void pci_write(unsigned reg, unsigned width, uint64_t value)
{
	pci_bar_write(0, (uint64_t)(common - pci_bars[0].at) + reg, width,
		      value);
}

void pci_notify(unsigned queue, uint32_t value, unsigned width)
{
	pci_bar_write(notify.bar, notify.offset + queue * notify.step, width,
		      value);
}
