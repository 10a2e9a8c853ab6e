/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/bytes.h"
#include "vmm/boot/boot.h"
#include "vmm/boot/layout.h"

/* The x86/HVM direct boot ABI, version 1 (Xen, xen/arch-x86/hvm/start_info.h).
 */

#define START_MAGIC 0x336ec578u

struct start_info {
	le32 magic;
	le32 version;
	le32 flags;
	le32 nr_modules;
	le64 modlist;
	le64 cmdline;
	le64 rsdp;
	le64 memmap;
	le32 memmap_entries;
	le32 reserved;
};
_Static_assert(sizeof(struct start_info) == 56, "hvm_start_info");

struct module {
	le64 base;
	le64 size;
	le64 cmdline;
	le64 reserved;
};

struct memmap_entry {
	le64 base;
	le64 size;
	le32 type;
	le32 reserved;
};

static int write_memmap(const struct guestmem *mem, unsigned *count)
{
	struct boot_range ranges[BOOT_MEMMAP_MAX];
	struct memmap_entry entries[BOOT_MEMMAP_MAX];
	unsigned i, n = boot_memmap(mem, ranges);

	for (i = 0; i < n; i++)
		entries[i] = (struct memmap_entry){
			.base = le64_make(ranges[i].base),
			.size = le64_make(ranges[i].size),
			.type = le32_make(ranges[i].type),
		};
	*count = n;
	return guestmem_write(mem, LAYOUT_MEMMAP, entries,
			      n * sizeof(entries[0]));
}

int boot_pvh_write(const struct guestmem *mem,
		   const struct boot_initramfs *initramfs, struct err *err)
{
	struct start_info info = {
		.magic = le32_make(START_MAGIC),
		.version = le32_make(1),
		.cmdline = le64_make(LAYOUT_CMDLINE),
		.rsdp = le64_make(LAYOUT_ACPI),
		.memmap = le64_make(LAYOUT_MEMMAP),
	};
	struct module module = {
		.base = le64_make(initramfs->gpa),
		.size = le64_make(initramfs->size),
	};
	unsigned count;
	int ret = write_memmap(mem, &count);

	info.memmap_entries = le32_make(count);
	if (ret == 0 && initramfs->size) {
		info.nr_modules = le32_make(1);
		info.modlist = le64_make(LAYOUT_MODULES);
		ret = guestmem_write(mem, LAYOUT_MODULES, &module,
				     sizeof(module));
	}
	if (ret == 0)
		ret = guestmem_write(mem, LAYOUT_START_INFO, &info,
				     sizeof(info));
	if (ret < 0)
		return err_ret(err, ret, "writing the PVH start info");
	return 0;
}
