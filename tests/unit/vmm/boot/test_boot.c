/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/boot/boot.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <asm/bootparam.h>
#include <cmocka.h>

#include "tests/unit/vmm/boot/kernel_image.h"

#define RAM (16u << 20)

static struct guestmem mem;
static struct elf_image elf;
static uint8_t bz[0x4000];
static struct err err;

static int setup(void **state)
{
	guestmem_init(&mem);
	elf_image_init(&elf);
	memset(&err, 0, sizeof(err));
	return guestmem_add_new(&mem, 0, RAM, &err);
}

static int teardown(void **state)
{
	guestmem_release(&mem);
	return 0;
}

static uint64_t get(uint64_t gpa, size_t len)
{
	uint64_t value = 0;

	assert_int_equal(guestmem_read(&mem, gpa, &value, len), 0);
	return value;
}

static int load(const void *image, size_t len, const void *initramfs,
		size_t initramfs_len, const char *cmdline,
		struct boot_entry *entry)
{
	struct boot_config config = {
		.mem = &mem,
		.kernel_fd = image_fd(image, len),
		.initramfs_fd =
			initramfs ? image_fd(initramfs, initramfs_len) : -1,
		.cmdline = cmdline,
		.vcpus = 2,
	};
	int ret;

	assert_true(config.kernel_fd >= 0);
	ret = boot_load(&config, entry, &err);
	close(config.kernel_fd);
	if (config.initramfs_fd >= 0)
		close(config.initramfs_fd);
	return ret;
}

static int load_elf(void)
{
	struct boot_entry entry;

	return load(&elf, sizeof(elf), NULL, 0, "", &entry);
}

static void pvh(void **state)
{
	struct boot_entry entry;
	char text[32];
	uint64_t module;

	elf.code[0] = 0x5a;
	elf.note.entry = IMAGE_LOAD + 0x10;
	assert_int_equal(
		load(&elf, sizeof(elf), "initramfs", 9, "console=hvc0", &entry),
		0);
	assert_int_equal(entry.rip, IMAGE_LOAD + 0x10);
	assert_int_equal(entry.rbx, 0x6000);
	assert_int_equal(get(IMAGE_LOAD, 4), 0x5a);
	assert_int_equal(get(0x6000, 4), 0x336ec578);
	assert_int_equal(get(0x6004, 4), 1);
	assert_int_equal(get(0x600c, 4), 1);
	module = get(get(0x6010, 8), 8);
	assert_int_equal(module, RAM - 4096);
	assert_int_equal(get(get(0x6010, 8) + 8, 8), 9);
	assert_int_equal(guestmem_read(&mem, module, text, 9), 0);
	assert_memory_equal(text, "initramfs", 9);
	assert_int_equal(guestmem_read(&mem, get(0x6018, 8), text, 13), 0);
	assert_string_equal(text, "console=hvc0");
	assert_int_equal(guestmem_read(&mem, get(0x6020, 8), text, 8), 0);
	assert_memory_equal(text, "RSD PTR ", 8);
}

static void memory_map(void **state)
{
	struct boot_range map[BOOT_MEMMAP_MAX];
	static uint8_t high[4096];
	unsigned i, k, n;

	assert_int_equal(guestmem_add_borrowed(&mem, 1ull << 32, high, 4096),
			 0);
	n = boot_memmap(&mem, map);
	assert_int_equal(n, 5);
	assert_int_equal(map[0].size, 0xa0000);
	assert_int_equal(map[2].base, 0x100000);
	assert_int_equal(map[2].size, RAM - 0x100000);
	assert_int_equal(map[3].base, 1ull << 32);
	for (i = 0; i < n; i++)
		for (k = 0; k < i; k++)
			assert_true(map[i].base >= map[k].base + map[k].size ||
				    map[k].base >= map[i].base + map[i].size);
}

static void bz_init(void)
{
	struct setup_header *hdr = (void *)(bz + 0x1f1);

	memset(bz, 0, sizeof(bz));
	bz[0x201] = 0x66;
	hdr->setup_sects = 1;
	hdr->boot_flag = 0xaa55;
	hdr->header = 0x53726448;
	hdr->version = 0x020f;
	hdr->loadflags = 1;
	hdr->initrd_addr_max = 0x7fffffff;
	hdr->init_size = 0x10000;
	hdr->pref_address = 0x200000;
	hdr->setup_data = 0x1234;
	memcpy(bz + 1024, "payload", 8);
}

static int load_bz(void)
{
	struct boot_entry entry;

	return load(bz, sizeof(bz), NULL, 0, "", &entry);
}

static void bzimage(void **state)
{
	struct boot_entry entry;

	bz_init();
	assert_int_equal(load(bz, sizeof(bz), "abc", 3, "x=1", &entry), 0);
	assert_int_equal(entry.rip, 0x100000);
	assert_int_equal(entry.rsi, 0x7000);
	assert_int_equal(get(0x100000, 7), 0x64616f6c796170);
	assert_int_equal(get(0x7000 + 0x1fe, 2), 0xaa55);
	assert_int_equal(get(0x7000 + 0x210, 1), 0xff);
	assert_int_equal(get(0x7000 + 0x228, 4), 0x20000);
	assert_int_equal(get(0x7000 + 0x218, 4), RAM - 4096);
	assert_int_equal(get(0x7000 + 0x21c, 4), 3);
	assert_int_equal(get(0x7000 + 0x250, 8), 0); /* setup_data */
	assert_int_equal(get(0x7000 + 0x70, 8), 0xe0000);
	assert_int_equal(get(0x7000 + 0x1e8, 1), 4);
}

static void bzimage_refusals(void **state)
{
	struct setup_header *hdr = (void *)(bz + 0x1f1);
	struct boot_entry entry;

	bz_init();
	hdr->version = 0x0209;
	assert_int_equal(load_bz(), -ENOEXEC);
	bz_init();
	hdr->loadflags = 0;
	assert_int_equal(load_bz(), -ENOEXEC);
	bz_init();
	hdr->boot_flag = 0;
	assert_int_equal(load_bz(), -ENOEXEC);
	bz_init();
	hdr->setup_sects = 255;
	assert_int_equal(load_bz(), -ENOEXEC);
	bz_init();
	hdr->init_size = UINT32_MAX;
	assert_int_equal(load_bz(), -ENOEXEC);
	bz_init();
	hdr->pref_address = UINT64_MAX - 0xfff;
	assert_int_equal(load_bz(), -ENOEXEC);
	/* The header says that it is empty. */
	bz_init();
	bz[0x201] = 0;
	assert_int_equal(load_bz(), -ENOEXEC);
	/* The initramfs must lie below what the kernel can reach. */
	bz_init();
	hdr->initrd_addr_max = 0x20ffff;
	assert_int_equal(load(bz, sizeof(bz), "abc", 3, "", &entry), -ENOMEM);
	assert_int_equal(load(bz, 0x100, NULL, 0, "", &entry), -ENOEXEC);
	assert_int_equal(load("", 0, NULL, 0, "", &entry), -ENOEXEC);
}

static void elf_refusals(void **state)
{
	Elf64_Phdr *code = &elf.segments[0], *note = &elf.segments[1];

#define REFUSED(change)                                           \
	do {                                                      \
		elf_image_init(&elf);                             \
		change;                                           \
		assert_int_equal(load_elf(), -ENOEXEC);           \
		assert_true(strncmp(err.text, "kernel", 6) == 0); \
	} while (0)

	assert_int_equal(load_elf(), 0);
	REFUSED(elf.header.e_ident[EI_CLASS] = ELFCLASS32);
	REFUSED(elf.header.e_machine = EM_AARCH64);
	REFUSED(elf.header.e_phnum = 0);
	REFUSED(elf.header.e_phnum = 65);
	REFUSED(elf.header.e_phentsize = 1);
	REFUSED(elf.header.e_phoff = UINT64_MAX - 10);
	REFUSED(elf.header.e_phoff = INT64_MAX - 10);
	REFUSED(elf.header.e_phoff = sizeof(elf));
	REFUSED(code->p_filesz = code->p_memsz + 1);
	REFUSED(code->p_paddr = 0x7000);
	REFUSED(code->p_paddr = RAM - 0x1000);
	REFUSED(code->p_paddr = UINT64_MAX - 0xfff);
	REFUSED(code->p_memsz = UINT64_MAX);
	REFUSED(code->p_offset = UINT64_MAX - 0xfff);
	REFUSED(code->p_offset = INT64_MAX);
	REFUSED(code->p_offset = sizeof(elf) - 1);
	REFUSED(note->p_type = PT_NULL);
	REFUSED(note->p_filesz = 1u << 20);
	REFUSED(note->p_filesz = 12);
	REFUSED(note->p_offset = UINT64_MAX);
	REFUSED(elf.note.header.n_namesz = UINT32_MAX);
	REFUSED(elf.note.header.n_namesz = UINT32_MAX - 3);
	REFUSED(elf.note.header.n_descsz = UINT32_MAX);
	REFUSED(elf.note.header.n_descsz = 2);
	REFUSED(elf.note.name[0] = 'G');
	REFUSED(elf.note.entry = 0x7000);
	REFUSED(elf.note.entry = RAM);
}

static void command_line_is_bounded(void **state)
{
	struct boot_entry entry;
	char *text = malloc(2049);

	assert_non_null(text);
	memset(text, 'a', 2048);
	text[2048] = '\0';
	assert_int_equal(load(&elf, sizeof(elf), NULL, 0, text, &entry),
			 -E2BIG);
	text[2047] = '\0';
	assert_int_equal(load(&elf, sizeof(elf), NULL, 0, text, &entry), 0);
	free(text);
}

static void initramfs_is_bounded(void **state)
{
	struct boot_entry entry;
	size_t len = RAM - 0x100000;
	uint8_t *big = calloc(1, len);

	assert_non_null(big);
	assert_int_equal(load(&elf, sizeof(elf), big, len, "", &entry),
			 -ENOMEM);
	/* The kernel ends at a page: everything above it is free. */
	len -= sizeof(elf.code) + 0x1000;
	assert_int_equal(load(&elf, sizeof(elf), big, len, "", &entry), 0);
	assert_int_equal(load(&elf, sizeof(elf), big, len + 1, "", &entry),
			 -ENOMEM);
	assert_int_equal(load(&elf, sizeof(elf), big, 0, "", &entry), -EINVAL);
	free(big);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pvh),
		TEST(memory_map),
		TEST(bzimage),
		TEST(bzimage_refusals),
		TEST(elf_refusals),
		TEST(command_line_is_bounded),
		TEST(initramfs_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
