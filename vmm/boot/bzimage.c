/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asm/bootparam.h>

#include "vmm/boot/boot.h"
#include "vmm/boot/layout.h"

/* Linux, Documentation/arch/x86/boot.rst: the 32-bit boot protocol. */

#define SECTOR 512u
#define HEADER_AT offsetof(struct boot_params, hdr)
#define BOOT_FLAG 0xaa55u
#define HEADER_MAGIC 0x53726448u /* "HdrS" */
#define VERSION_MIN 0x020au	 /* init_size */
#define LOADER_UNDEFINED 0xffu
/* The header may grow up to here; what lies behind is the memory map. */
#define HEADER_END 0x290u

static int check_header(const struct setup_header *hdr, uint64_t file_size,
			struct err *err)
{
	if (hdr->boot_flag != BOOT_FLAG || hdr->header != HEADER_MAGIC)
		return err_set(err, ENOEXEC,
			       "kernel: neither an ELF nor a bzImage");
	if (hdr->version < VERSION_MIN)
		return err_set(err, ENOEXEC,
			       "kernel: boot protocol %u.%02u: need 2.10",
			       hdr->version >> 8, hdr->version & 0xffu);
	if (!(hdr->loadflags & LOADED_HIGH))
		return err_set(err, ENOEXEC, "kernel: a zImage, not a bzImage");
	if (file_size > UINT32_MAX)
		return err_set(err, ENOEXEC, "kernel: larger than 4 GiB");
	return 0;
}

/*
 * The protected-mode part goes to 1 MiB; it unpacks itself to its preferred
 * address, or up from where it is, and needs init_size bytes there.
 */
static int load_payload(const struct guestmem *mem, int fd,
			const struct setup_header *hdr, uint64_t file_size,
			struct boot_image *image, struct err *err)
{
	uint64_t sectors = hdr->setup_sects ? hdr->setup_sects : 4;
	uint64_t offset = (sectors + 1) * SECTOR;
	uint64_t room = hdr->init_size;
	uint64_t base = LAYOUT_KERNEL;
	struct iovec iov;

	if (offset >= file_size)
		return err_set(err, ENOEXEC, "kernel: the bzImage is cut off");
	if (hdr->pref_address > base)
		base = hdr->pref_address;
	if (room < file_size - offset)
		room = file_size - offset;
	if (guestmem_iov(mem, base, room, &iov) < 0)
		return err_set(err, ENOEXEC,
			       "kernel: needs 0x%llx bytes at 0x%llx: not in "
			       "the guest's memory",
			       (unsigned long long)room,
			       (unsigned long long)base);
	image->entry = LAYOUT_KERNEL;
	image->end = base + room;
	image->initramfs_max = hdr->initrd_addr_max;
	return boot_read(mem, LAYOUT_KERNEL, file_size - offset, fd, offset,
			 "kernel", err);
}

int boot_bzimage_load(const struct guestmem *mem, int fd,
		      struct boot_image *image, struct boot_params *params,
		      struct err *err)
{
	uint8_t page[HEADER_END];
	struct stat st;
	size_t end;
	ssize_t n;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "kernel: fstat");
	do
		n = pread(fd, page, sizeof(page), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_sys(err, "kernel: read");
	if (n != (ssize_t)sizeof(page) || st.st_size < n)
		return err_set(err, ENOEXEC,
			       "kernel: neither an ELF nor a bzImage");
	/* The header ends where its jump at 0x200 leads (field jump). */
	end = 0x202u + page[0x201];
	if (end > HEADER_END)
		end = HEADER_END;
	memset(params, 0, sizeof(*params));
	if (end > HEADER_AT)
		memcpy((uint8_t *)params + HEADER_AT, page + HEADER_AT,
		       end - HEADER_AT);
	if (check_header(&params->hdr, (uint64_t)st.st_size, err) < 0)
		return -err->code;
	return load_payload(mem, fd, &params->hdr, (uint64_t)st.st_size, image,
			    err);
}

int boot_bzimage_write(const struct guestmem *mem, struct boot_params *params,
		       const struct boot_initramfs *initramfs, struct err *err)
{
	struct boot_range ranges[BOOT_MEMMAP_MAX];
	unsigned i, n = boot_memmap(mem, ranges);
	int ret;

	params->hdr.type_of_loader = LOADER_UNDEFINED;
	params->hdr.cmd_line_ptr = LAYOUT_CMDLINE;
	params->hdr.ramdisk_image = (uint32_t)initramfs->gpa;
	params->hdr.ramdisk_size = (uint32_t)initramfs->size;
	/* No chain of set-up data, whatever the file says. */
	params->hdr.setup_data = 0;
	params->acpi_rsdp_addr = LAYOUT_ACPI;
	params->e820_entries = (uint8_t)n;
	for (i = 0; i < n; i++)
		params->e820_table[i] = (struct boot_e820_entry){
			.addr = ranges[i].base,
			.size = ranges[i].size,
			.type = ranges[i].type,
		};
	ret = guestmem_write(mem, LAYOUT_ZERO_PAGE, params, sizeof(*params));
	if (ret < 0)
		return err_ret(err, ret, "writing the zero page");
	return 0;
}
