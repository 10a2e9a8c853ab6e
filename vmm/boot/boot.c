/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/boot.h"

#include <errno.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asm/bootparam.h>

#include "base/bytes.h"
#include "vmm/acpi/tables.h"
#include "vmm/boot/layout.h"

#define PAGE_MASK (~(uint64_t)4095)

unsigned boot_memmap(const struct guestmem *mem,
		     struct boot_range map[BOOT_MEMMAP_MAX])
{
	unsigned i, n = 0;

	map[n++] = (struct boot_range){0, LAYOUT_LOW_END, BOOT_RAM};
	map[n++] = (struct boot_range){LAYOUT_ACPI, LAYOUT_ACPI_SIZE,
				       BOOT_RESERVED};
	for (i = 0; i < mem->count && n < BOOT_MEMMAP_MAX - 1; i++) {
		uint64_t base = mem->regions[i].gpa;
		uint64_t end = base + mem->regions[i].size;

		if (base < LAYOUT_KERNEL)
			base = LAYOUT_KERNEL;
		if (base < end)
			map[n++] =
				(struct boot_range){base, end - base, BOOT_RAM};
	}
	map[n++] = (struct boot_range){LAYOUT_ECAM, LAYOUT_ECAM_SIZE,
				       BOOT_RESERVED};
	return n;
}

/*
 * From page cache to page cache, which spares a page fault and the clearing
 * of each page: half the time of reading into the mapping. Returns how much
 * it did; what it cannot do is left to pread, which also says why.
 */
static uint64_t send_into(const struct guestmem *mem, uint64_t gpa,
			  uint64_t len, int fd, uint64_t offset)
{
	const struct guestmem_region *r = mem->regions;
	off_t from = (off_t)offset;
	uint64_t done = 0;
	ssize_t n = 1;

	while (gpa < r->gpa || gpa - r->gpa >= r->size)
		r++; /* the caller knows that it is there */
	if (r->fd < 0 ||
	    lseek(r->fd, (off_t)(r->offset + (gpa - r->gpa)), SEEK_SET) < 0)
		return 0;
	while (done < len && n > 0) {
		n = sendfile(r->fd, fd, &from, (size_t)(len - done));
		if (n > 0)
			done += (uint64_t)n;
	}
	return done;
}

int boot_read(const struct guestmem *mem, uint64_t gpa, uint64_t len, int fd,
	      uint64_t offset, const char *what, struct err *err)
{
	struct iovec iov;
	uint64_t done;
	int ret = guestmem_iov(mem, gpa, len, &iov);

	if (ret < 0)
		return err_ret(err, ret, "%s: 0x%llx bytes at 0x%llx", what,
			       (unsigned long long)len,
			       (unsigned long long)gpa);
	if (offset > INT64_MAX - len)
		return err_set(err, ENOEXEC, "%s: offset 0x%llx", what,
			       (unsigned long long)offset);
	done = send_into(mem, gpa, len, fd, offset);
	iov.iov_base = (uint8_t *)iov.iov_base + done;
	iov.iov_len -= (size_t)done;
	offset += done;
	while (iov.iov_len > 0) {
		ssize_t n = pread(fd, iov.iov_base, iov.iov_len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "%s: read", what);
		if (n == 0)
			return err_set(err, ENOEXEC, "%s: the file is cut off",
				       what);
		iov.iov_base = (uint8_t *)iov.iov_base + n;
		iov.iov_len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

/* At the top of low RAM, where no kernel unpacks itself. */
static int load_initramfs(const struct boot_config *config,
			  const struct boot_image *image,
			  struct boot_initramfs *initramfs, struct err *err)
{
	uint64_t top = config->mem->regions[0].size;
	uint64_t size;
	struct stat st;

	*initramfs = (struct boot_initramfs){0};
	if (config->initramfs_fd < 0)
		return 0;
	if (fstat(config->initramfs_fd, &st) < 0)
		return err_sys(err, "initramfs: fstat");
	if (!S_ISREG(st.st_mode) || st.st_size <= 0)
		return err_set(err, EINVAL,
			       "initramfs: not a regular file with content");
	size = (uint64_t)st.st_size;
	if (top > image->initramfs_max)
		top = image->initramfs_max + 1;
	top &= PAGE_MASK;
	if (size > top || ((top - size) & PAGE_MASK) < image->end)
		return err_set(err, ENOMEM,
			       "initramfs: %llu bytes do not fit between the "
			       "kernel and 0x%llx: give the guest more memory",
			       (unsigned long long)size,
			       (unsigned long long)top);
	initramfs->size = size;
	initramfs->gpa = (top - size) & PAGE_MASK;
	return boot_read(config->mem, initramfs->gpa, size,
			 config->initramfs_fd, 0, "initramfs", err);
}

static int write_gdt(const struct guestmem *mem)
{
	/* Flat 4 GiB code and data, and a TSS that VMX wants to be there. */
	const le64 gdt[BOOT_GDT_SIZE / 8] = {
		[BOOT_CS / 8] = le64_make(0x00cf9b000000ffff),
		[BOOT_DS / 8] = le64_make(0x00cf93000000ffff),
		[BOOT_TSS / 8] = le64_make(0x00008b0000000067),
	};

	return guestmem_write(mem, LAYOUT_GDT, gdt, sizeof(gdt));
}

static int write_platform(const struct boot_config *config, struct err *err)
{
	const struct acpi_config acpi = {
		.vcpus = config->vcpus,
		.serial = config->serial,
		.base = LAYOUT_ACPI,
		.high_base = config->pci_high_base,
		.high_size = config->pci_high_size,
	};
	size_t len = strlen(config->cmdline) + 1;
	struct iovec iov;
	int ret;

	if (len > LAYOUT_CMDLINE_MAX)
		return err_set(err, E2BIG,
			       "kernel command line: %zu bytes, at most %u",
			       len - 1, LAYOUT_CMDLINE_MAX - 1);
	ret = guestmem_write(config->mem, LAYOUT_CMDLINE, config->cmdline, len);
	if (ret == 0)
		ret = write_gdt(config->mem);
	if (ret == 0)
		ret = guestmem_iov(config->mem, LAYOUT_ACPI, LAYOUT_ACPI_SIZE,
				   &iov);
	if (ret == 0)
		ret = acpi_build(&acpi, iov.iov_base, iov.iov_len);
	if (ret < 0)
		return err_ret(err, ret, "writing the platform's tables");
	return 0;
}

int boot_load(const struct boot_config *config, struct boot_entry *entry,
	      struct err *err)
{
	struct boot_initramfs initramfs;
	struct boot_image image = {0};
	struct boot_params params;
	bool pvh;
	int ret;

	ret = boot_elf_load(config->mem, config->kernel_fd, &image, err);
	pvh = ret == 1;
	if (ret == 0)
		ret = boot_bzimage_load(config->mem, config->kernel_fd, &image,
					&params, err);
	if (ret < 0)
		return ret;
	ret = load_initramfs(config, &image, &initramfs, err);
	if (ret == 0)
		ret = write_platform(config, err);
	if (ret < 0)
		return ret;
	*entry = (struct boot_entry){
		.rip = (uint32_t)image.entry,
		.rsp = LAYOUT_STACK_TOP,
	};
	if (pvh) {
		entry->rbx = LAYOUT_START_INFO;
		return boot_pvh_write(config->mem, &initramfs, err);
	}
	entry->rsi = LAYOUT_ZERO_PAGE;
	return boot_bzimage_write(config->mem, &params, &initramfs, err);
}
