/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/block.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "guest/agent/ids.h"
#include "guest/agent/pci_path.h"

static int by_pci_path(const char *source, char path[BLOCK_PATH_MAX],
		       struct err *err)
{
	AUTO_FD int sys = -1;
	struct pci_path pci;
	char name[BLOCK_PATH_MAX - 8];
	int ret;

	if (!pci_path_parse(source, &pci))
		return err_set(err, EINVAL,
			       "%.64s: neither a PCI path nor /dev/NAME",
			       source);
	sys = open("/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (sys < 0)
		return err_sys(err, "open /sys");
	ret = pci_path_block(sys, &pci, name, sizeof(name));
	if (ret == -ENOENT)
		return err_set(err, EAGAIN, "PCI device %.64s: not there",
			       source);
	if (ret < 0)
		return err_ret(err, ret, "PCI device %.64s", source);
	(void)snprintf(path, BLOCK_PATH_MAX, "/dev/%s", name);
	return 0;
}

/* Between its node and its uevent a device cannot be opened yet. */
static bool opens(const char *path)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0 || errno != ENXIO;
}

int block_find(const char *source, char path[BLOCK_PATH_MAX], dev_t *dev,
	       struct err *err)
{
	struct stat st;
	int ret = 0;

	if (strncmp(source, "/dev/", 5) != 0)
		ret = by_pci_path(source, path, err);
	else if (!path_valid(source) || strlen(source) >= BLOCK_PATH_MAX)
		ret = err_set(err, EINVAL, "%.64s: not usable", source);
	else
		(void)snprintf(path, BLOCK_PATH_MAX, "%s", source);
	if (ret < 0)
		return ret;
	if (stat(path, &st) < 0) {
		if (errno == ENOENT)
			return err_set(err, EAGAIN, "%s: not there", path);
		return err_sys(err, "%s", path);
	}
	if (!S_ISBLK(st.st_mode))
		return err_set(err, EINVAL, "%s: not a block device", path);
	if (!opens(path))
		return err_set(err, EAGAIN, "%s: not ready", path);
	if (dev)
		*dev = st.st_rdev;
	return 0;
}
