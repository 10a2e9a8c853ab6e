/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_memory.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/compiler.h"
#include "integration/virtiofs/hostile_link.h"

#define HUGE_PAGE (2ul << 20)
#define PAGES 16u
#define PAGE_SHIFT 12
#define PRESENT (1ull << 63)
#define FRAME ((1ull << 55) - 1)

struct huge_page {
	uint64_t address;
	unsigned index; /* in the file */
};

static int by_address(const void *a, const void *b)
{
	const struct huge_page *p = a, *q = b;

	return p->address < q->address ? -1 : p->address > q->address;
}

static uint64_t address_of(int pagemap, const uint8_t *at)
{
	uint64_t entry;
	off_t off = (off_t)(((uintptr_t)at >> PAGE_SHIFT) * sizeof(entry));

	if (pread(pagemap, &entry, sizeof(entry), off) != sizeof(entry) ||
	    !(entry & PRESENT) || !(entry & FRAME))
		link_die("pagemap");
	return (entry & FRAME) << PAGE_SHIFT;
}

/* All there are, in the order of their addresses. */
static void pages_find(int file, struct huge_page *pages)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint8_t *at = mmap(NULL, PAGES * HUGE_PAGE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_POPULATE, file, 0);

	if (at == MAP_FAILED || pagemap < 0)
		link_die("huge pages");
	memset(at, 0, PAGES * HUGE_PAGE);
	for (unsigned i = 0; i < PAGES; i++) {
		pages[i].index = i;
		pages[i].address = address_of(pagemap, at + i * HUGE_PAGE);
	}
	munmap(at, PAGES * HUGE_PAGE);
	close(pagemap);
	qsort(pages, PAGES, sizeof(pages[0]), by_address);
}

static const struct huge_page *run_of(const struct huge_page *pages, size_t n)
{
	size_t first = 0;

	for (size_t i = 1; i < PAGES; i++) {
		if (pages[i].address != pages[i - 1].address + HUGE_PAGE)
			first = i;
		if (i - first + 1 == n)
			return &pages[first];
	}
	link_die("no huge pages side by side");
}

uint8_t *memory_map(size_t size, uint64_t *address)
{
	struct huge_page pages[PAGES];
	const struct huge_page *run;
	size_t n = (size + HUGE_PAGE - 1) / HUGE_PAGE;
	int file = memfd_create("memory", MFD_CLOEXEC | MFD_HUGETLB);
	uint8_t *at;

	if (file < 0 || ftruncate(file, PAGES * HUGE_PAGE) < 0)
		link_die("huge pages");
	pages_find(file, pages);
	run = run_of(pages, n);
	at = mmap(NULL, (n + 1) * HUGE_PAGE, PROT_NONE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		link_die("mmap");
	at += HUGE_PAGE - (uintptr_t)at % HUGE_PAGE;
	for (size_t i = 0; i < n; i++)
		if (mmap(at + i * HUGE_PAGE, HUGE_PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_FIXED, file,
			 (off_t)(run[i].index * HUGE_PAGE)) == MAP_FAILED)
			link_die("mmap");
	*address = run[0].address;
	return at;
}
