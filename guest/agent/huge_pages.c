/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/huge_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/file.h"

/* Of a file below /sys/kernel/mm/hugepages. */
#define POOL_PATH_MAX 96

/* Where the kernel has the number of its pages of one size. */
static void pool_path(uint64_t page, char path[POOL_PATH_MAX])
{
	(void)snprintf(path, POOL_PATH_MAX,
		       "/sys/kernel/mm/hugepages/hugepages-%" PRIu64
		       "kB/nr_hugepages",
		       page / 1024);
}

static int pool_get(uint64_t page, uint64_t *n, struct err *err)
{
	AUTO_FREE char *text = NULL;
	char path[POOL_PATH_MAX];
	int ret;

	pool_path(page, path);
	ret = file_read(AT_FDCWD, path, 32, &text, NULL);
	if (ret < 0)
		return err_ret(err, ret, "hugetlbfs: %s", path);
	*n = strtoull(text, NULL, 10);
	return 0;
}

/* The kernel takes as many as it finds room for. */
static int pool_set(uint64_t page, uint64_t n, struct err *err)
{
	char path[POOL_PATH_MAX], want[32];
	int ret;

	pool_path(page, path);
	(void)snprintf(want, sizeof(want), "%" PRIu64, n);
	ret = file_write(AT_FDCWD, path, want);
	return ret < 0 ? err_ret(err, ret, "hugetlbfs: %s", path) : 0;
}

int huge_pages_add(uint64_t page, uint64_t n, uint64_t *added, struct err *err)
{
	uint64_t had, all;
	int ret = pool_get(page, &had, err);

	*added = 0;
	if (!ret)
		ret = pool_set(page, had + n, err);
	if (!ret)
		ret = pool_get(page, &all, err);
	if (ret < 0)
		return ret;
	*added = all > had ? all - had : 0;
	if (*added >= n)
		return 0;
	return err_set(err, ENOMEM, "hugetlbfs: %" PRIu64 " pages of %" PRIu64,
		       *added, n);
}

int huge_pages_remove(uint64_t page, uint64_t n, struct err *err)
{
	uint64_t all;
	int ret = pool_get(page, &all, err);

	return ret < 0 ? ret : pool_set(page, all - n, err);
}
