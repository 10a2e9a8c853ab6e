/* SPDX-License-Identifier: Apache-2.0 */

/* The kernel's file and its command line: first byte odd or even. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/machine/uml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);
	struct err err;

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	if (uml_check_kernel(fd, false, &err) == 0 &&
	    uml_check_kernel(fd, true, &err) < 0)
		abort();
	close(fd);
}

static void check_cmdline(const uint8_t *data, size_t size)
{
	struct uml_guest guest = {.initramfs_fd = -1, .memory = 1u << 26};
	char *line = strndup((const char *)data, size);
	struct err err;
	char **argv;

	if (!line)
		abort();
	guest.cmdline = line;
	if (uml_check_cmdline(line, &err) == 0) {
		argv = uml_args(&guest, &err);
		/* What the user says is no second memory or console. */
		for (char **arg = argv ? argv + 3 : NULL; arg && *arg; arg++)
			if (!strncmp(*arg, "mem_fd=", 7) ||
			    !strncmp(*arg, "mem=", 4) ||
			    !strncmp(*arg, "initrd=", 7))
				abort();
		free(argv);
	}
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		check_file(data + 1, size - 1);
	else
		check_cmdline(data + 1, size - 1);
	return 0;
}
