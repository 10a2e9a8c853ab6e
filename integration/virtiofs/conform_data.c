/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static uint32_t rng;

static uint32_t draw(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 17;
	rng ^= rng << 5;
	return rng % below;
}

static char data[70000];

static void fill(uint32_t len)
{
	for (uint32_t i = 0; i < len; i++)
		data[i] = (char)('a' + draw(26));
}

/* One step of a random walk over the calls that read and write. */
static void step(struct trial *t, int *fds)
{
	int fd = fds[draw(3)];
	uint32_t len = draw(3) ? draw(200) : draw(sizeof(data));
	off_t off = draw(2) ? draw(300) : draw(100000);
	struct iovec iov[2] = {{data, len / 2}, {data + len / 2, len / 3}};
	static char buf[sizeof(data)];

	fill(len);
	switch (draw(11)) {
	case 0:
	case 1:
		ret(t, "write", write(fd, data, len));
		break;
	case 2:
	case 3:
		ret(t, "pwrite", pwrite(fd, data, len, off));
		break;
	case 4:
		ret(t, "writev", writev(fd, iov, 2));
		break;
	case 5:
		ret(t, "ftruncate", ftruncate(fd, off));
		break;
	case 6:
		ret(t, "seek", lseek(fd, off, SEEK_SET));
		break;
	case 7:
		ret(t, "seek end", lseek(fd, -(off_t)draw(10), SEEK_END));
		break;
	case 8:
		ret(t, "fsync", fsync(fd));
		break;
	case 9:
		ret(t, "read", read(fd, buf, len));
		break;
	default:
		ret(t, "pread", pread(fd, buf, len, off));
		break;
	}
}

static void walk_run(struct trial *t, unsigned i)
{
	int fds[3];

	label(t, "random calls, seed %u", i + 1);
	rng = i + 1;
	fds[0] = open("f", O_RDWR | O_CREAT, 0644);
	fds[1] = open("f", O_RDWR | O_APPEND);
	fds[2] = open("f", i % 2 ? O_WRONLY : O_RDONLY);
	for (unsigned n = 0; n < 40; n++)
		step(t, fds);
	look_fd(t, fds[0]);
	for (unsigned n = 0; n < 3; n++)
		close(fds[n]);
	content(t, "f");
}

static void mapped(struct trial *t, int fd, char *map, unsigned i)
{
	char buf[16] = {0};

	memcpy(map + 10, data, 6);
	ret(t, "pread", pread(fd, buf, 6, 10));
	note(t, "'%s'", buf);
	ret(t, "pwrite", pwrite(fd, "written", 7, 4090));
	note(t, "'%.7s'", map + 4090);
	if (i & 2)
		ret(t, "msync", msync(map, 8192, MS_SYNC));
	if (i & 4)
		ret(t, "truncate", ftruncate(fd, 4097));
	memcpy(map + 20, data + 10, 5);
	ret(t, "unmap", munmap(map, 8192));
}

static void mmap_run(struct trial *t, unsigned i)
{
	int share = i & 1 ? MAP_PRIVATE : MAP_SHARED;
	int mode = i & 8 ? O_RDONLY : O_RDWR;
	char *map;
	int fd;

	label(t, "%s mapping, %s, %u", i & 1 ? "private" : "shared",
	      i & 8 ? "read-only" : "writable", i);
	rng = 7;
	fill(8192);
	put(t, "f", "", 0644);
	ret(t, "truncate", truncate("f", 8192));
	fd = open("f", mode);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, share, fd, 0);
	ret(t, "mmap", map == MAP_FAILED ? -1 : 0);
	if (map != MAP_FAILED)
		mapped(t, fd, map, i);
	close(fd);
	content(t, "f");
	look(t, "f");
}

static void fallocate_run(struct trial *t, unsigned i)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE};
	static const off_t spans[][2] = {{0, 100},     {50, 10},   {0, 0},
					 {4096, 4096}, {-1, 10},   {10, -1},
					 {8000, 9000}, {0, 100000}};
	int mode = modes[i % 4];
	const off_t *span = spans[i / 4 % 8];
	int fd;

	label(t, "mode %d, %ld+%ld", mode, (long)span[0], (long)span[1]);
	rng = 9;
	fill(10000);
	fd = open("f", O_RDWR | O_CREAT, 0644);
	ret(t, "write", write(fd, data, 10000));
	ret(t, "fallocate", fallocate(fd, mode, span[0], span[1]));
	look_fd(t, fd);
	close(fd);
	fd = open("f", O_RDONLY);
	ret(t, "fallocate", fallocate(fd, mode, span[0], span[1]));
	close(fd);
	content(t, "f");
}

static void seek_run(struct trial *t, unsigned i)
{
	static const int whence[] = {SEEK_DATA, SEEK_HOLE};
	static const off_t offs[] = {0, 5, 9, 10, 11, -1, LONG_MAX};
	int fd;

	label(t, "%s %ld", i % 2 ? "hole" : "data", (long)offs[i / 2]);
	put(t, "f", "0123456789", 0644);
	fd = open("f", O_RDONLY);
	ret(t, "seek", lseek(fd, offs[i / 2], whence[i % 2]));
	ret(t, "tell", lseek(fd, 0, SEEK_CUR));
	close(fd);
}

/* Real holes: in front, between and behind two pieces of data, and one that was
 * punched into a third file. Closed before, so that all of it is written. */
static void holes_make(struct trial *t, bool punched)
{
	int fd = open("f", O_RDWR | O_CREAT, 0644);
	const off_t at[] = {1 << 20, 3 << 20};

	for (unsigned n = 0; n < 2 && !punched; n++)
		ret(t, "pwrite", pwrite(fd, data, sizeof(data), at[n]));
	if (!punched)
		ret(t, "truncate", ftruncate(fd, 4 << 20));
	for (unsigned n = 0; n < 16 && punched; n++)
		if (pwrite(fd, data, sizeof(data), (off_t)n << 16) < 0)
			ret(t, "pwrite", -1);
	if (punched)
		ret(t, "punch",
		    fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      4 << 16, 4 << 16));
	close(fd);
}

static void holes_run(struct trial *t, unsigned i)
{
	static const int whence[] = {SEEK_DATA, SEEK_HOLE};
	static const off_t offs[] = {
		0, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (17 << 16) - 1,
		17 << 16, 2 << 20, 3 << 20, 49 << 16, (4 << 20) - 1, 4 << 20,
		/* Of the one with the punched hole. */
		0, (4 << 16) - 1, 4 << 16, 5 << 16, 8 << 16, (16 << 16) - 1};
	bool punched = i / 2 > 10;
	int fd;

	label(t, "%s %ld%s", i % 2 ? "hole" : "data", (long)offs[i / 2],
	      punched ? ", punched" : "");
	holes_make(t, punched);
	fd = open("f", O_RDONLY);
	ret(t, "seek", lseek(fd, offs[i / 2], whence[i % 2]));
	ret(t, "tell", lseek(fd, 0, SEEK_CUR));
	close(fd);
}

static void copy_run(struct trial *t, unsigned i)
{
	off_t in = (off_t)(i % 3) * 2;
	off_t out = (off_t)(i / 3 % 3) * 5000;
	int from;
	int to;

	label(t, "%s, %ld to %ld", i < 9 ? "copy_file_range" : "sendfile",
	      (long)in, (long)out);
	put(t, "f", "hello world", 0644);
	put(t, "g", "other", 0644);
	from = open("f", O_RDONLY);
	to = open("g", O_RDWR);
	if (i < 9) {
		ret(t, "copy", copy_file_range(from, &in, to, &out, 100, 0));
		ret(t, "copy", copy_file_range(from, &in, to, &out, 100, 0));
		ret(t, "copy", copy_file_range(to, &in, from, &out, 1, 0));
	} else {
		lseek(to, out, SEEK_SET);
		ret(t, "sendfile", sendfile(to, from, &in, 100));
	}
	close(from);
	close(to);
	content(t, "f");
	content(t, "g");
}

static void truncate_run(struct trial *t, unsigned i)
{
	static const off_t sizes[] = {0, 1, 4, 5, 6, 4096, 1 << 20, -1};
	unsigned kind = i / 8;

	label(t, "%s to %ld", kind_name(kind), (long)sizes[i % 8]);
	make(t, "f", kind);
	ret(t, "truncate", truncate("f", sizes[i % 8]));
	look(t, "f");
	look(t, "f.target");
	if (kind != KIND_FIFO && kind != KIND_SOCKET)
		content(t, "f");
}

static void xattr_calls(struct trial *t, const char *path, const char *name,
			const char *value, size_t size)
{
	static char got[70000];
	ssize_t n;

	ret(t, "get", lgetxattr(path, name, got, sizeof(got)));
	ret(t, "replace", lsetxattr(path, name, value, size, XATTR_REPLACE));
	ret(t, "create", lsetxattr(path, name, value, size, XATTR_CREATE));
	ret(t, "create", lsetxattr(path, name, value, size, XATTR_CREATE));
	ret(t, "size", lgetxattr(path, name, NULL, 0));
	n = ret(t, "get", lgetxattr(path, name, got, sizeof(got)));
	if (n > 0)
		note(t, "same %d",
		     (size_t)n == size && !memcmp(got, value, size));
	ret(t, "get short", lgetxattr(path, name, got, size > 1 ? 1 : 0));
	ret(t, "remove", lremovexattr(path, name));
	ret(t, "remove", lremovexattr(path, name));
}

static void xattr_run(struct trial *t, unsigned i)
{
	static const char *const names[] = {"user.a", "user.",	  "user",
					    "",	      "nosuch.a", "trusted.a"};
	static const size_t sizes[] = {0, 1, 100, 1000};
	static const unsigned kinds[] = {KIND_FILE, KIND_DIR, KIND_LINK_FILE,
					 KIND_FIFO};
	const char *name = names[i % 6];
	size_t size = sizes[i / 6 % 4];
	unsigned kind = kinds[i / 24];

	label(t, "%s, '%s', %zu bytes", kind_name(kind), name, size);
	rng = i + 1;
	fill((uint32_t)size);
	make(t, "f", kind);
	xattr_calls(t, "f", name, data, size);
}

static void times_run(struct trial *t, unsigned i)
{
	static const struct timespec times[] = {
		{0, 0},		 {1, 999999999},  {1000000000, 5},
		{0, UTIME_OMIT}, {2000000000, 1}, {0, 1000000000},
	};
	struct timespec ts[2] = {times[i % 6], times[i / 6 % 6]};
	unsigned kind = i < 36 ? KIND_FILE : KIND_LINK_NONE;
	const struct timespec *was;
	struct stat st;

	label(t, "%s, %u %u", kind_name(kind), i % 6, i / 6 % 6);
	make(t, "f", kind);
	ret(t, "utimensat", utimensat(AT_FDCWD, "f", ts, AT_SYMLINK_NOFOLLOW));
	ret(t, "lstat", lstat("f", &st));
	for (unsigned k = 0; k < 2; k++) {
		was = k ? &st.st_mtim : &st.st_atim;
		if (ts[k].tv_nsec < 1000000000)
			note(t, "%d",
			     was->tv_sec == ts[k].tv_sec &&
				     was->tv_nsec == ts[k].tv_nsec);
	}
}

/* Which changes touch which times of what. */
static void touched_run(struct trial *t, unsigned i)
{
	static const char *const what[] = {"write",  "read",	"chmod",
					   "link",   "rename",	"create",
					   "unlink", "truncate"};
	const struct timespec old[2] = {{1000, 0}, {1000, 0}};
	struct stat st;
	int fd;

	label(t, "%s", what[i]);
	put(t, "f", "hello", 0644);
	put(t, "g", "hello", 0644);
	fd = open("f", O_RDWR);
	utimensat(AT_FDCWD, "f", old, 0);
	utimensat(AT_FDCWD, ".", old, 0);
	if (i == 0)
		ret(t, "write", write(fd, "x", 1));
	else if (i == 1)
		ret(t, "read", read(fd, data, 1));
	else if (i == 2)
		ret(t, "chmod", fchmod(fd, 0600));
	else if (i == 3)
		ret(t, "link", link("f", "h"));
	else if (i == 4)
		ret(t, "rename", rename("f", "h"));
	else if (i == 5)
		close(open("h", O_CREAT | O_WRONLY, 0644));
	else if (i == 6)
		ret(t, "unlink", unlink("g"));
	else
		ret(t, "truncate", ftruncate(fd, 2));
	close(fd);
	stat(i == 4 ? "h" : "f", &st);
	note(t, "file: mtime %d", st.st_mtim.tv_sec == 1000);
	stat(".", &st);
	note(t, "directory: mtime %d", st.st_mtim.tv_sec == 1000);
}

/* Of statx(2) alone: when the file was made, whatever happened to it since. */
static void birth_run(struct trial *t, unsigned i)
{
	static const char *const kinds[] = {"file", "directory", "link"};
	struct timespec before;
	struct statx stx = {0};

	label(t, "of a %s", kinds[i]);
	clock_gettime(CLOCK_REALTIME, &before);
	if (i == 0)
		put(t, "f", "x", 0644);
	else if (i == 1)
		mkdir("f", 0755);
	else
		ret(t, "symlink", symlink("x", "f"));
	utimensat(AT_FDCWD, "f",
		  (struct timespec[2]){{.tv_sec = 1000}, {.tv_sec = 1000}},
		  AT_SYMLINK_NOFOLLOW);
	ret(t, "statx",
	    statx(AT_FDCWD, "f", AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_MTIME,
		  &stx));
	note(t, "known %d, just now %d, mtime %lld",
	     (stx.stx_mask & STATX_BTIME) != 0,
	     stx.stx_btime.tv_sec >= before.tv_sec - 600 &&
		     stx.stx_btime.tv_sec <= before.tv_sec + 600,
	     (long long)stx.stx_mtime.tv_sec);
}

static void misc_run(struct trial *t, unsigned i)
{
	int fd;
	int n = 0;

	put(t, "f", "hello", 0644);
	fd = open(i < 3 ? "f" : ".", O_RDONLY);
	switch (i % 3) {
	case 0:
		label(t, "poll");
		ret(t, "poll",
		    poll(&(struct pollfd){fd, POLLIN | POLLOUT, 0}, 1, 0));
		break;
	case 1:
		label(t, "FIONREAD");
		ret(t, "ioctl", ioctl(fd, FIONREAD, &n));
		break;
	default:
		label(t, "fadvise, fsync, unknown ioctl");
		ret(t, "fadvise", posix_fadvise(fd, 0, 5, POSIX_FADV_DONTNEED));
		ret(t, "fsync", fsync(fd));
		ret(t, "fdatasync", fdatasync(fd));
		ret(t, "ioctl", ioctl(fd, 0x5413, data));
		break;
	}
	close(fd);
}

const struct case_group conform_data_groups[] = {
	{"walk", 100, walk_run},
	{"mmap", 16, mmap_run},
	{"fallocate", 32, fallocate_run},
	{"seek", 14, seek_run},
	{"holes", 34, holes_run},
	{"copy", 18, copy_run},
	{"truncate", 8 * KINDS, truncate_run},
	{"xattr", 96, xattr_run},
	{"times", 72, times_run},
	{"touched", 8, touched_run},
	{"birth time", 3, birth_run},
	{"misc", 6, misc_run},
	{NULL, 0, NULL},
};
