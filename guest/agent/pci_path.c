/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/pci_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* PCI Express base 6.0, 2.2.4.2: five bits of device, three of function. */
#define SLOT_MAX 0x1f
#define FUNCTION_MAX 7

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One or two digits; false: none, or above max. */
static bool number(const char **p, unsigned max, uint8_t *out)
{
	unsigned value = 0, n = 0;

	for (; n < 2 && digit(**p) >= 0; n++, (*p)++)
		value = value * 16 + (unsigned)digit(**p);
	*out = (uint8_t)value;
	return n > 0 && value <= max;
}

bool pci_path_parse(const char *text, struct pci_path *out)
{
	memset(out, 0, sizeof(*out));
	for (;;) {
		if (out->n == PCI_HOPS_MAX ||
		    !number(&text, SLOT_MAX, &out->hops[out->n].slot))
			return false;
		if (*text == '.') {
			text++;
			if (!number(&text, FUNCTION_MAX,
				    &out->hops[out->n].function))
				return false;
		}
		out->n++;
		if (!*text)
			return true;
		if (*text++ != '/')
			return false;
	}
}

/* The only entry of a directory, or the first with the prefix. */
static int entry(int dir, const char *path, const char *prefix, char *out,
		 size_t size)
{
	AUTO_FD int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int ret = -ENOENT;

	if (!d)
		return -errno;
	(void)steal_fd(&fd);
	while (ret == -ENOENT && (e = readdir(d))) {
		int n;

		if (e->d_name[0] == '.' ||
		    strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		n = snprintf(out, size, "%s", e->d_name);
		ret = n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
	}
	(void)closedir(d);
	return ret;
}

/* The directory of the device; its length, or -errno. */
static int directory(int root, const struct pci_path *path, char *dir,
		     size_t size)
{
	char bus[16] = "0000:00";
	int len = snprintf(dir, size, "devices/pci0000:00");
	int ret;

	for (unsigned i = 0; i < path->n; i++) {
		if (i > 0) {
			AUTO_FD int fd = openat(root, dir, O_PATH | O_CLOEXEC);

			ret = fd < 0 ? -errno
				     : entry(fd, "pci_bus", "", bus,
					     sizeof(bus));
			if (ret < 0)
				return ret;
		}
		len += snprintf(dir + len, size - (size_t)len, "/%s:%02x.%x",
				bus, path->hops[i].slot,
				path->hops[i].function);
		if ((size_t)len >= size)
			return -ENAMETOOLONG;
	}
	return len;
}

/* What its virtio device is to the kernel: "block" or "net". */
static int virtio_child(int root, const struct pci_path *path,
			const char *class, char *name, size_t size)
{
	char dir[2048], virtio[32];
	int len = directory(root, path, dir, sizeof(dir));
	int ret;

	if (len < 0)
		return len;
	ret = entry(root, dir, "virtio", virtio, sizeof(virtio));
	if (ret < 0)
		return ret;
	len += snprintf(dir + len, sizeof(dir) - (size_t)len, "/%s/%s", virtio,
			class);
	if ((size_t)len >= sizeof(dir))
		return -ENAMETOOLONG;
	return entry(root, dir, "", name, size);
}

int pci_path_block(int root, const struct pci_path *path, char *name,
		   size_t size)
{
	return virtio_child(root, path, "block", name, size);
}

int pci_path_net(int root, const struct pci_path *path, char *name, size_t size)
{
	return virtio_child(root, path, "net", name, size);
}
