/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/boot/boot.h"
#include "vmm/boot/layout.h"

#define SEGMENTS_MAX 64u
#define NOTES_MAX 65536u
#define NOTE_PHYS32_ENTRY 18u /* XEN_ELFNOTE_PHYS32_ENTRY */

/* 0, or -ENOEXEC on a short file, or the errno of pread. */
static int read_at(int fd, void *buf, size_t len, uint64_t offset)
{
	size_t done = 0;

	if (offset > INT64_MAX - len)
		return -ENOEXEC;
	while (done < len) {
		ssize_t n = pread(fd, (uint8_t *)buf + done, len - done,
				  (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENOEXEC;
		done += (size_t)n;
	}
	return 0;
}

static int check_header(const Elf64_Ehdr *header, struct err *err)
{
	if (header->e_ident[EI_CLASS] != ELFCLASS64 ||
	    header->e_ident[EI_DATA] != ELFDATA2LSB ||
	    header->e_machine != EM_X86_64)
		return err_set(err, ENOEXEC, "kernel: not an ELF for x86-64");
	if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum == 0 ||
	    header->e_phnum > SEGMENTS_MAX)
		return err_set(err, ENOEXEC,
			       "kernel: %u program headers of %u bytes",
			       header->e_phnum, header->e_phentsize);
	return 0;
}

/* Guest memory is new: what a file does not fill is zero already. */
static int load_segment(const struct guestmem *mem, int fd,
			const Elf64_Phdr *ph, struct boot_image *image,
			struct err *err)
{
	struct iovec iov;

	if (ph->p_memsz == 0)
		return 0;
	if (ph->p_filesz > ph->p_memsz)
		return err_set(err, ENOEXEC,
			       "kernel: segment at 0x%llx is longer in the "
			       "file than in memory",
			       (unsigned long long)ph->p_paddr);
	if (ph->p_paddr < LAYOUT_KERNEL ||
	    guestmem_iov(mem, ph->p_paddr, ph->p_memsz, &iov) < 0)
		return err_set(err, ENOEXEC,
			       "kernel: segment at 0x%llx, 0x%llx bytes: not "
			       "in the guest's memory above 1 MiB",
			       (unsigned long long)ph->p_paddr,
			       (unsigned long long)ph->p_memsz);
	if (ph->p_paddr + ph->p_memsz > image->end)
		image->end = ph->p_paddr + ph->p_memsz;
	if (ph->p_filesz == 0)
		return 0;
	return boot_read(mem, ph->p_paddr, ph->p_filesz, fd, ph->p_offset,
			 "kernel", err);
}

static size_t pad4(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/* Finds the PVH entry among notes; true when it is there. */
static bool find_entry(const uint8_t *notes, size_t len, uint64_t *entry)
{
	Elf64_Nhdr note;

	while (len >= sizeof(note)) {
		size_t name, desc;
		uint64_t value = 0;

		memcpy(&note, notes, sizeof(note));
		notes += sizeof(note);
		len -= sizeof(note);
		name = pad4(note.n_namesz);
		if (name > len)
			return false;
		desc = pad4(note.n_descsz);
		if (desc > len - name)
			return false;
		if (note.n_type == NOTE_PHYS32_ENTRY && note.n_namesz == 4 &&
		    memcmp(notes, "Xen", 4) == 0 &&
		    (note.n_descsz == 4 || note.n_descsz == 8)) {
			memcpy(&value, notes + name, note.n_descsz);
			*entry = value;
			return true;
		}
		notes += name + desc;
		len -= name + desc;
	}
	return false;
}

static int read_notes(int fd, const Elf64_Phdr *ph, uint64_t *entry,
		      bool *found, struct err *err)
{
	AUTO_FREE uint8_t *notes = NULL;
	int ret;

	if (*found || ph->p_filesz > NOTES_MAX || ph->p_filesz == 0)
		return 0;
	notes = malloc((size_t)ph->p_filesz);
	if (!notes)
		return err_set(err, ENOMEM, "kernel: out of memory");
	ret = read_at(fd, notes, (size_t)ph->p_filesz, ph->p_offset);
	if (ret < 0)
		return err_ret(err, ret, "kernel: reading the notes");
	*found = find_entry(notes, (size_t)ph->p_filesz, entry);
	return 0;
}

int boot_elf_load(const struct guestmem *mem, int fd, struct boot_image *image,
		  struct err *err)
{
	Elf64_Ehdr header;
	Elf64_Phdr segments[SEGMENTS_MAX] = {0};
	struct iovec iov;
	bool found = false;
	unsigned i;
	int ret;

	ret = read_at(fd, &header, sizeof(header), 0);
	if (ret == -ENOEXEC ||
	    (ret == 0 && memcmp(header.e_ident, ELFMAG, SELFMAG) != 0))
		return 0;
	if (ret == 0 && check_header(&header, err) < 0)
		return -err->code;
	if (ret == 0)
		ret = read_at(fd, segments, header.e_phnum * sizeof(*segments),
			      header.e_phoff);
	if (ret < 0)
		return err_ret(err, ret, "kernel: reading the ELF headers");
	for (i = 0; i < header.e_phnum; i++)
		if (segments[i].p_type == PT_NOTE &&
		    read_notes(fd, &segments[i], &image->entry, &found, err) <
			    0)
			return -err->code;
	if (!found)
		return err_set(err, ENOEXEC,
			       "kernel: an ELF without a PVH entry note: it "
			       "needs CONFIG_PVH");
	for (i = 0; i < header.e_phnum; i++)
		if (segments[i].p_type == PT_LOAD &&
		    load_segment(mem, fd, &segments[i], image, err) < 0)
			return -err->code;
	if (image->entry < LAYOUT_KERNEL || image->entry >= image->end ||
	    guestmem_iov(mem, image->entry, 1, &iov) < 0 ||
	    image->entry > UINT32_MAX)
		return err_set(err, ENOEXEC,
			       "kernel: entry 0x%llx is not in the kernel",
			       (unsigned long long)image->entry);
	image->initramfs_max = UINT32_MAX;
	return 1;
}
