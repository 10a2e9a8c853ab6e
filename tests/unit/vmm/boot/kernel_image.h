/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_VMM_BOOT_KERNEL_IMAGE_H
#define TESTS_UNIT_VMM_BOOT_KERNEL_IMAGE_H

/* Small kernels: an ELF with a PVH note around some code. */

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define IMAGE_LOAD 0x100000u

struct elf_image {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2]; /* code, note */
	struct {
		Elf64_Nhdr header;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t code[0x4000];
};

static inline void elf_image_init(struct elf_image *image)
{
	memset(image, 0, sizeof(*image));
	memcpy(image->header.e_ident, ELFMAG, SELFMAG);
	image->header.e_ident[EI_CLASS] = ELFCLASS64;
	image->header.e_ident[EI_DATA] = ELFDATA2LSB;
	image->header.e_machine = EM_X86_64;
	image->header.e_phoff = offsetof(struct elf_image, segments);
	image->header.e_phentsize = sizeof(Elf64_Phdr);
	image->header.e_phnum = 2;
	image->segments[0] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = offsetof(struct elf_image, code),
		.p_paddr = IMAGE_LOAD,
		.p_filesz = sizeof(image->code),
		.p_memsz = sizeof(image->code) + 0x1000,
	};
	image->segments[1] = (Elf64_Phdr){
		.p_type = PT_NOTE,
		.p_offset = offsetof(struct elf_image, note),
		.p_filesz = sizeof(image->note),
	};
	image->note.header.n_namesz = 4;
	image->note.header.n_descsz = 4;
	image->note.header.n_type = 18;
	memcpy(image->note.name, "Xen", 4);
	image->note.entry = IMAGE_LOAD;
}

static inline int image_fd(const void *image, size_t len)
{
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	if (fd >= 0 && write(fd, image, len) != (ssize_t)len) {
		close(fd);
		return -1;
	}
	return fd;
}

#endif
