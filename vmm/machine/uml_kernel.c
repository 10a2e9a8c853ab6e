/* SPDX-License-Identifier: Apache-2.0 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "vmm/machine/uml.h"

#define KERNEL_MAX (256l << 20)
#define SEGMENTS_MAX 64u

/* What only our patches put into a kernel: the help text of mem_fd=. */
static const char marker[] = "mem_fd=<descriptor>\n";

struct image {
	int fd;
	uint64_t size;
	char name[128]; /* for messages */
};

static void name_image(struct image *image)
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", image->fd);
	n = readlink(link, image->name, sizeof(image->name) - 1);
	image->name[n > 0 ? n : 0] = '\0';
}

static int read_at(const struct image *image, void *dst, size_t len,
		   uint64_t off)
{
	ssize_t n;

	if (off > image->size || len > image->size - off)
		return -ENOEXEC;
	n = pread(image->fd, dst, len, (off_t)off);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOEXEC;
}

static int read_header(const struct image *image, Elf64_Ehdr *eh,
		       struct err *err)
{
	int ret = read_at(image, eh, sizeof(*eh), 0);

	if (ret == 0 && memcmp(eh->e_ident, ELFMAG, SELFMAG) == 0 &&
	    eh->e_ident[EI_CLASS] == ELFCLASS64 && eh->e_machine == EM_X86_64 &&
	    (eh->e_type == ET_EXEC || eh->e_type == ET_DYN) &&
	    eh->e_phentsize == sizeof(Elf64_Phdr) &&
	    eh->e_phnum <= SEGMENTS_MAX)
		return 0;
	return err_set(err, ENOEXEC,
		       "kernel %s: not an x86-64 executable; machine uml wants "
		       "what guest/kernel/build --arch um makes",
		       image->name);
}

static int check_marker(const struct image *image, struct err *err)
{
	size_t size = (size_t)image->size;
	bool found;
	void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, image->fd, 0);

	if (map == MAP_FAILED)
		return err_sys(err, "kernel %s: mmap", image->name);
	found = memmem(map, size, marker, sizeof(marker) - 1) != NULL;
	munmap(map, size);
	if (found)
		return 0;
	return err_set(err, ENOEXEC,
		       "kernel %s: not built by guest/kernel; a stock "
		       "user-mode kernel lets guest processes escape when it "
		       "is killed; unsafe_stock_uml_kernel allows it",
		       image->name);
}

/* An interpreter would be looked for in an empty root. */
static int check_static(const struct image *image, const Elf64_Ehdr *eh,
			struct err *err)
{
	for (unsigned i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr ph;
		int ret;

		if (eh->e_phoff > image->size)
			return err_set(err, ENOEXEC,
				       "kernel %s: no program headers",
				       image->name);
		ret = read_at(image, &ph, sizeof(ph),
			      eh->e_phoff + i * sizeof(ph));
		if (ret < 0)
			return err_ret(err, ret, "kernel %s: program headers",
				       image->name);
		if (ph.p_type == PT_INTERP)
			return err_set(
				err, ENOEXEC,
				"kernel %s: dynamically linked: it finds "
				"no library in its empty root",
				image->name);
	}
	return 0;
}

int uml_check_kernel(int fd, bool unsafe, struct err *err)
{
	struct image image = {.fd = fd};
	struct stat st;
	Elf64_Ehdr eh;
	int ret;

	name_image(&image);
	if (fstat(fd, &st) < 0)
		return err_sys(err, "kernel %s", image.name);
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 || st.st_size > KERNEL_MAX)
		return err_set(err, ENOEXEC,
			       "kernel %s: not a file of up to %ld MiB",
			       image.name, KERNEL_MAX >> 20);
	image.size = (uint64_t)st.st_size;
	ret = read_header(&image, &eh, err);
	if (!ret && !unsafe)
		ret = check_marker(&image, err);
	return ret < 0 ? ret : check_static(&image, &eh, err);
}

int uml_executable(int fd, struct err *err)
{
	AUTO_FD int from = fd;
	AUTO_FD int copy = -1;
	struct stat st;
	off_t off = 0;

	if (fstat(from, &st) < 0)
		return err_sys(err, "kernel");
	if ((st.st_mode & 0555) == 0555)
		return steal_fd(&from);
	copy = memfd_create("kernel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (copy < 0 || fchmod(copy, 0555) < 0)
		return err_sys(err, "kernel: copying it to memory");
	while (off < st.st_size) {
		ssize_t n =
			sendfile(copy, from, &off, (size_t)(st.st_size - off));

		if (n < 0)
			return err_sys(err, "kernel: copying it to memory");
		if (n == 0)
			return err_set(err, EIO, "kernel: it shrinks");
	}
	if (fcntl(copy, F_ADD_SEALS,
		  F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return err_sys(err, "kernel: sealing its copy");
	return steal_fd(&copy);
}
