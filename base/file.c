/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define FIRST_READ 4096

int read_full(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EPIPE;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int write_full(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Fills buf up to size; less only at the end of the file. */
static ssize_t read_up_to(int fd, char *buf, size_t size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = read(fd, buf + have, size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int file_read_fd(int fd, size_t max, char **out, size_t *len)
{
	AUTO_FREE char *buf = NULL;
	size_t have = 0, size = 0;

	/* Files of procfs and sysfs have no size to ask for. One byte past
	 * max tells a file of max bytes from a longer one. */
	do {
		size_t grown = size ? size * 2 : FIRST_READ;
		char *bigger;
		ssize_t n;

		if (grown < size || grown > max)
			grown = max + 1;
		bigger = realloc(buf, grown + 1);
		if (!bigger)
			return -ENOMEM;
		buf = bigger;
		size = grown;
		n = read_up_to(fd, buf + have, size - have);
		if (n < 0)
			return (int)n;
		have += (size_t)n;
		if (have > max)
			return -EFBIG;
	} while (have == size);
	buf[have] = '\0';
	if (len)
		*len = have;
	*out = steal_ptr(&buf);
	return 0;
}

int file_read(int dirfd, const char *path, size_t max, char **out, size_t *len)
{
	AUTO_FD int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0)
		return -errno;
	return file_read_fd(fd, max, out, len);
}

/* A new file beside path, with a name nobody else has. */
static int create_beside(int dirfd, const char *path, char **name)
{
	static atomic_uint serial;
	int fd;

	do {
		free(*name);
		*name = NULL;
		if (asprintf(name, "%s.tmp-%d-%u", path, (int)getpid(),
			     serial++) < 0) {
			*name = NULL;
			return -ENOMEM;
		}
		fd = openat(dirfd, *name,
			    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} while (fd < 0 && errno == EEXIST);
	return fd < 0 ? -errno : fd;
}

static int fill(int fd, const void *data, size_t len, mode_t mode)
{
	int rc = write_full(fd, data, len);

	if (rc < 0)
		return rc;
	return fchmod(fd, mode) < 0 ? -errno : 0;
}

int file_replace(int dirfd, const char *path, const void *data, size_t len,
		 mode_t mode)
{
	AUTO_FREE char *name = NULL;
	int fd = create_beside(dirfd, path, &name);
	int rc;

	if (fd < 0)
		return fd;
	rc = fill(fd, data, len, mode);
	/* NFS and quota report a failed write only here. */
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && renameat(dirfd, name, dirfd, path) < 0)
		rc = -errno;
	if (rc < 0)
		unlinkat(dirfd, name, 0);
	return rc;
}

int file_write(int dirfd, const char *path, const char *text)
{
	AUTO_FD int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t len = strlen(text);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do
		n = write(fd, text, len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

int mkdir_all(const char *path, mode_t mode)
{
	AUTO_FREE char *copy = strdup(path);
	struct stat st;
	char *end;

	if (!copy)
		return -ENOMEM;
	if (!*copy)
		return -ENOENT;
	for (end = copy; *end; *end = '/') {
		end += strspn(end, "/");
		end += strcspn(end, "/");
		if (!*end)
			break;
		*end = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
	}
	if (mkdir(copy, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(copy, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}
