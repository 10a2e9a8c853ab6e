/* SPDX-License-Identifier: Apache-2.0 */
#ifndef VMM_BOOT_BOOT_H
#define VMM_BOOT_BOOT_H

/*
 * Puts a kernel into the memory of the x86-64 machine, with its command line,
 * initramfs, memory map and ACPI tables. Kernel and initramfs are read
 * straight into guest memory; nothing in their headers is believed.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/err.h"
#include "vmm/core/guestmem.h"

struct boot_config {
	const struct guestmem *mem; /* region 0 at address 0 */
	int kernel_fd;
	int initramfs_fd; /* -1: none */
	const char *cmdline;
	unsigned vcpus;
	bool serial;
	/* Where the PCI bridge has addresses above RAM; size 0: nowhere. */
	uint64_t pci_high_base;
	uint64_t pci_high_size;
};

/* How vCPU 0 starts: 32 bits, flat segments, no paging. */
struct boot_entry {
	uint32_t rip;
	uint32_t rbx; /* PVH: hvm_start_info */
	uint32_t rsi; /* bzImage: zero page */
	uint32_t rsp;
};

/* GDT that boot_load leaves at LAYOUT_GDT: selectors of its entries. */
#define BOOT_CS 0x10u
#define BOOT_DS 0x18u
#define BOOT_TSS 0x20u
#define BOOT_GDT_SIZE 0x28u

int boot_load(const struct boot_config *config, struct boot_entry *entry,
	      struct err *err) MUST_CHECK;

/* What the loaders of boot_load tell each other. ------------------------- */

struct boot_image {
	uint64_t entry;
	uint64_t end;		/* first byte the kernel does not need */
	uint64_t initramfs_max; /* last address an initramfs may use */
};

struct boot_initramfs {
	uint64_t gpa;
	uint64_t size; /* 0: none */
};

#define BOOT_MEMMAP_MAX 8u

struct boot_range {
	uint64_t base;
	uint64_t size;
	uint32_t type; /* as in e820 */
};

#define BOOT_RAM 1u
#define BOOT_RESERVED 2u

/* Fills map[], returns the number of ranges. */
unsigned boot_memmap(const struct guestmem *mem,
		     struct boot_range map[BOOT_MEMMAP_MAX]);

/* Reads len bytes at offset of fd into RAM at gpa. */
int boot_read(const struct guestmem *mem, uint64_t gpa, uint64_t len, int fd,
	      uint64_t offset, const char *what, struct err *err) MUST_CHECK;

/* 1: loaded; 0: the file is of another kind; -errno. */
int boot_elf_load(const struct guestmem *mem, int fd, struct boot_image *image,
		  struct err *err) MUST_CHECK;
/* The start-of-day structure of PVH. */
int boot_pvh_write(const struct guestmem *mem,
		   const struct boot_initramfs *initramfs,
		   struct err *err) MUST_CHECK;

struct boot_params;
/* params: the zero page to be, with the image's set-up header in it. */
int boot_bzimage_load(const struct guestmem *mem, int fd,
		      struct boot_image *image, struct boot_params *params,
		      struct err *err) MUST_CHECK;
int boot_bzimage_write(const struct guestmem *mem, struct boot_params *params,
		       const struct boot_initramfs *initramfs,
		       struct err *err) MUST_CHECK;

#endif
