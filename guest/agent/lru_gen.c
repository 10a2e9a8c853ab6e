/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/lru_gen.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

#define ENABLED "/sys/kernel/mm/lru_gen/enabled"
#define TEXT_MAX (4u << 20)

/* "         12      30500          0       1024 ": number, age, anon, file. */
static int parse_generation(const char *line, struct lru_gen *lru, bool first)
{
	uint64_t seq, age;
	int64_t anon, file;

	if (sscanf(line, " %" SCNu64 " %" SCNu64 " %" SCNd64 " %" SCNd64, &seq,
		   &age, &anon, &file) != 4)
		return -EINVAL;
	if (first || seq < lru->min_seq) {
		lru->min_seq = seq;
		/* Counts on several processors may be below zero in passing. */
		lru->anon = (uint64_t)MAX(anon, 0);
		lru->file = (uint64_t)MAX(file, 0);
	}
	if (first || seq > lru->max_seq) {
		lru->max_seq = seq;
		lru->age_ms = age;
	}
	return 0;
}

int lru_gen_parse(char *text, int (*each)(void *arg, const struct lru_gen *lru),
		  void *arg)
{
	struct lru_gen lru = {0};
	char *save = NULL;
	bool got = false;
	int ret = 0, at = 0;

	for (char *line = strtok_r(text, "\n", &save); line && !ret;
	     line = strtok_r(NULL, "\n", &save)) {
		unsigned number;

		if (sscanf(line, "memcg %u %n", &number, &at) == 1 ||
		    sscanf(line, " node %u", &number) == 1) {
			if (got)
				ret = each(arg, &lru);
			got = false;
			if (line[0] == 'm') {
				lru.path = line + at;
				lru.group = number;
			} else {
				lru.node = number;
			}
		} else {
			ret = lru.path ? parse_generation(line, &lru, !got)
				       : -EINVAL;
			got = true;
		}
	}
	return !ret && got ? each(arg, &lru) : ret;
}

static int open_file(struct err *err)
{
	AUTO_FD int fs = fsopen("debugfs", FSOPEN_CLOEXEC);
	AUTO_FD int mnt = -1;
	int fd;

	if (fs < 0)
		return err_set(err, ENOTSUP, "this kernel has no debugfs");
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, "debugfs");
	mnt = fsmount(fs, FSMOUNT_CLOEXEC,
		      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mnt < 0)
		return err_sys(err, "debugfs");
	fd = openat(mnt, "lru_gen", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "debugfs: lru_gen");
	return fd;
}

int lru_gen_open(struct lru_gen_file *file, struct err *err)
{
	AUTO_FREE char *text = NULL;
	AUTO_FD int fd = -1;
	int ret = file_read(AT_FDCWD, ENABLED, 64, &text, NULL);

	if (ret < 0)
		return err_set(err, ENOTSUP,
			       "this kernel has no multi-generational LRU");
	fd = open_file(err);
	if (fd < 0)
		return fd;
	/* Bit 0 is the LRU itself, the others are ways to age it faster. */
	file->was_on = strtoul(text, NULL, 16) & 1;
	ret = file->was_on ? 0 : file_write(AT_FDCWD, ENABLED, "y");
	if (ret < 0)
		return err_ret(err, ret, ENABLED);
	file->fd = steal_fd(&fd);
	return 0;
}

void lru_gen_close(struct lru_gen_file *file)
{
	if (file->fd < 0)
		return;
	close(steal_fd(&file->fd));
	if (!file->was_on && file_write(AT_FDCWD, ENABLED, "n") < 0)
		log_warn("multi-generational LRU: not turned off");
}

int lru_gen_each(const struct lru_gen_file *file,
		 int (*each)(void *arg, const struct lru_gen *lru), void *arg)
{
	AUTO_FREE char *text = NULL;
	int ret;

	if (lseek(file->fd, 0, SEEK_SET) < 0)
		return -errno;
	ret = file_read_fd(file->fd, TEXT_MAX, &text, NULL);
	return ret < 0 ? ret : lru_gen_parse(text, each, arg);
}

static int command(const struct lru_gen_file *file, char what,
		   const struct lru_gen *lru, uint64_t seq, unsigned swappiness,
		   unsigned option)
{
	char text[96];
	int len =
		snprintf(text, sizeof(text), "%c %u %u %" PRIu64 " %u %u", what,
			 lru->group, lru->node, seq, swappiness, option);

	return write(file->fd, text, (size_t)len) < 0 ? -errno : 0;
}

int lru_gen_age(const struct lru_gen_file *file, const struct lru_gen *lru,
		bool swap)
{
	/* 1: even if all four generations are there. */
	return command(file, '+', lru, lru->max_seq, swap, 1);
}

int lru_gen_evict(const struct lru_gen_file *file, const struct lru_gen *lru,
		  unsigned swappiness, unsigned pages)
{
	return command(file, '-', lru, lru->min_seq, swappiness, pages);
}
