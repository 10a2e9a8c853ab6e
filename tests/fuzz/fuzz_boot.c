/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/boot/boot.h"

/*
 * Kernel files of any content: the loaders refuse them or load them within
 * the guest's memory. Between the guest's 16 MiB and what follows them in the
 * address space stands a page that nobody may touch.
 */

#define RAM (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *map_ram(void)
{
	uint8_t *ram = mmap(NULL, RAM + 8192, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (ram == MAP_FAILED ||
	    mprotect(ram + 4096, RAM, PROT_READ | PROT_WRITE) < 0)
		abort();
	return ram + 4096;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t *ram;
	struct guestmem mem;
	struct boot_entry entry;
	struct err err = {0};
	int ret;
	struct boot_config config = {
		.mem = &mem,
		.initramfs_fd = -1,
		.cmdline = "console=hvc0",
		.vcpus = 2,
		.serial = true,
	};

	if (!ram)
		ram = map_ram();
	guestmem_init(&mem);
	if (guestmem_add_borrowed(&mem, 0, ram, RAM) < 0)
		abort();
	config.kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
	if (config.kernel_fd < 0 ||
	    write(config.kernel_fd, data, size) != (ssize_t)size)
		abort();
	/* The last byte also says whether the file is its own initramfs. */
	if (size > 0 && data[size - 1] & 1)
		config.initramfs_fd = dup(config.kernel_fd);
	ret = boot_load(&config, &entry, &err);
	if (ret < 0 ? err.code != -ret || !err.text[0] : entry.rip >= RAM)
		abort();
	if (config.initramfs_fd >= 0)
		close(config.initramfs_fd);
	close(config.kernel_fd);
	guestmem_release(&mem);
	madvise(ram, RAM, MADV_DONTNEED);
	return 0;
}
