/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODES 3u
#define WAYS 3u
#define BITS 4u
#define FLAG_SETS (MODES * WAYS << BITS)

/* Both at a time are cases of their own. */
static const int ways[WAYS] = {0, O_CREAT, O_DIRECTORY};
static const char *const way_names[WAYS] = {"", "|CREAT", "|DIRECTORY"};
static const int bits[BITS] = {O_EXCL, O_TRUNC, O_APPEND, O_NOFOLLOW};
static const char *const bit_names[BITS] = {"EXCL", "TRUNC", "APPEND",
					    "NOFOLLOW"};

static int flag_set(unsigned i, char *text, size_t size)
{
	static const char *const modes[] = {"RDONLY", "WRONLY", "RDWR"};
	unsigned way = i / MODES % WAYS;
	int flags = (int)(i % MODES) | ways[way];
	size_t n = (size_t)snprintf(text, size, "%s%s", modes[i % MODES],
				    way_names[way]);

	for (unsigned b = 0; b < BITS; b++) {
		if (!(i / MODES / WAYS & 1u << b))
			continue;
		flags |= bits[b];
		n += (size_t)snprintf(text + n, size - n, "|%s", bit_names[b]);
	}
	return flags;
}

static void opened(struct trial *t, unsigned kind, int flags)
{
	char buf[16] = {0};
	int fd;

	make(t, "f", kind);
	fd = fd_ret(t, "open", open("f", flags | O_NONBLOCK, 0640));
	if (fd >= 0) {
		look_fd(t, fd);
		ret(t, "read", read(fd, buf, 3));
		note(t, "'%s'", buf);
		ret(t, "write", write(fd, "XY", 2));
		ret(t, "seek", lseek(fd, 0, SEEK_CUR));
		ret(t, "truncate", ftruncate(fd, 4));
		close(fd);
	}
	look(t, "f");
	look(t, "f.target");
	if (kind != KIND_FIFO && kind != KIND_SOCKET)
		content(t, "f");
}

/* Every set of flags on every kind of file. */
static void open_run(struct trial *t, unsigned i)
{
	unsigned kind = i / FLAG_SETS;
	char text[100];
	int flags = flag_set(i % FLAG_SETS, text, sizeof(text));

	label(t, "%s, %s", kind_name(kind), text);
	opened(t, kind, flags);
}

/* Linux 6.4 refuses it, and so does 6.1 by now; others create a file. */
static void open_directory_run(struct trial *t, unsigned i)
{
	static const int extra[] = {O_RDONLY, O_RDWR, O_RDONLY | O_EXCL,
				    O_RDWR | O_TRUNC};
	unsigned kind = i / 4;

	label(t, "%s, %o", kind_name(kind), extra[i % 4]);
	opened(t, kind, O_CREAT | O_DIRECTORY | extra[i % 4]);
}

/* Modes at creation by each umask; and in a set-group-ID directory. */
static void create_mode_run(struct trial *t, unsigned i)
{
	static const mode_t modes[] = {0,    0600,  0644,  0666,  0755,
				       0777, 04755, 02755, 01777, 07777};
	static const mode_t masks[] = {0, 022, 027, 077, 0777};
	mode_t mode = modes[i % 10];
	mode_t mask = masks[i / 10 % 5];
	int fd;

	label(t, "mode %o, umask %o%s", mode, mask,
	      i >= 50 ? ", set-group-ID directory" : "");
	if (i >= 50) {
		ret(t, "chown", chown(".", (uid_t)-1, 50));
		ret(t, "chmod", chmod(".", 02777));
	}
	umask(mask);
	fd = fd_ret(t, "open", open("f", O_RDWR | O_CREAT | O_EXCL, mode));
	if (fd >= 0)
		close(fd);
	ret(t, "mkdir", mkdir("d", mode));
	ret(t, "mkfifo", mkfifo("p", mode));
	ret(t, "mknod", mknod("n", S_IFREG | mode, 0));
	ret(t, "symlink", symlink("x", "s"));
	umask(022);
	look(t, "f");
	look(t, "d");
	look(t, "p");
	look(t, "n");
	look(t, "s");
}

static void written_run(struct trial *t, int flags, bool other)
{
	static _Alignas(4096) char block[4096];
	int fd;

	label(t, "flags %o%s", flags, other ? ", another user" : "");
	put(t, "f", "hello", 0666);
	ret(t, "truncate", truncate("f", 8192));
	if (other && (geteuid() != 0 || seteuid(1000)))
		return;
	fd = fd_ret(t, "open", open("f", flags));
	if (other && seteuid(0))
		abort();
	if (fd < 0)
		return;
	memset(block, 'x', sizeof(block));
	note(t, "flags %o", fcntl(fd, F_GETFL));
	ret(t, "write", write(fd, block, sizeof(block)));
	ret(t, "pwrite", pwrite(fd, block, sizeof(block), 4096));
	ret(t, "seek", lseek(fd, 0, SEEK_CUR));
	ret(t, "read", pread(fd, block, sizeof(block), 0));
	ret(t, "more than there is", pread(fd, block, sizeof(block), 8192));
	ret(t, "append", fcntl(fd, F_SETFL, flags ^ O_APPEND));
	ret(t, "write", write(fd, block, sizeof(block)));
	if (flags & O_DIRECT)
		ret(t, "no longer direct", fcntl(fd, F_SETFL, 0));
	note(t, "flags %o", fcntl(fd, F_GETFL));
	ret(t, "write", pwrite(fd, block, sizeof(block), 0));
	ret(t, "sync", fsync(fd));
	close(fd);
	content(t, "f");
}

/* Flags that are about how data is written, and not about names: as root, and
 * as another user. */
static void flags_run(struct trial *t, unsigned i)
{
	static const int extra[] = {0,	       O_SYNC,	   O_DSYNC, O_APPEND,
				    O_NOATIME, O_NONBLOCK, O_ASYNC};

	written_run(t, extra[i % 7] | (int)(i / 7 % MODES), i >= 7 * MODES);
}

static void direct_run(struct trial *t, unsigned i)
{
	static const int extra[] = {0, O_SYNC, O_APPEND};

	written_run(t, O_DIRECT | extra[i % 3] | (int)(i / 3), false);
}

static void unlinked_run(struct trial *t, unsigned i)
{
	char buf[32] = {0};
	int fd;

	label(t, "%s", i ? "renamed over while open" : "unlinked while open");
	put(t, "f", "hello", 0644);
	fd = fd_ret(t, "open", open("f", O_RDWR));
	if (i) {
		put(t, "g", "other", 0644);
		ret(t, "rename", rename("g", "f"));
	} else {
		ret(t, "unlink", unlink("f"));
	}
	look_fd(t, fd);
	ret(t, "write", pwrite(fd, "12345678", 8, 3));
	ret(t, "read", pread(fd, buf, sizeof(buf) - 1, 0));
	note(t, "'%s'", buf);
	ret(t, "truncate", ftruncate(fd, 2));
	ret(t, "chmod", fchmod(fd, 0600));
	ret(t, "fsync", fsync(fd));
	look_fd(t, fd);
	close(fd);
	list(t, ".");
}

static void tmpfile_run(struct trial *t, unsigned i)
{
	static const int extra[] = {0, O_EXCL, O_APPEND};
	char path[64];
	int fd;

	label(t, "O_TMPFILE %u", i);
	fd = fd_ret(t, "open",
		    open(i == 3 ? "nowhere" : ".",
			 O_TMPFILE | O_RDWR | (i < 3 ? extra[i] : 0), 0640));
	if (fd < 0)
		return;
	look_fd(t, fd);
	ret(t, "write", write(fd, "hello", 5));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret(t, "link",
	    linkat(AT_FDCWD, path, AT_FDCWD, "f", AT_SYMLINK_FOLLOW));
	close(fd);
	look(t, "f");
	content(t, "f");
}

/* Directories as files, files as directories. */
static void wrong_type_run(struct trial *t, unsigned i)
{
	static const char *const paths[] = {
		"f/",	"f/x", "f/.", "f/..", "d/", "d/.", "d/..", "d//f",
		"no/x", "no/", "s/",  "s/x",  "",   ".",   "..",   "d/../f"};
	const char *p = paths[i];
	struct stat st;
	char buf[8];
	int fd;

	label(t, "path '%s'", p);
	put(t, "f", "hello", 0644);
	mkdir("d", 0755);
	put(t, "d/f", "below", 0644);
	ret(t, "symlink", symlink("d", "s"));
	ret(t, "stat", stat(p, &st));
	ret(t, "lstat", lstat(p, &st));
	fd = fd_ret(t, "open", open(p, O_RDONLY));
	if (fd >= 0) {
		ret(t, "read", read(fd, buf, sizeof(buf)));
		close(fd);
	}
	fd = fd_ret(t, "create", open(p, O_WRONLY | O_CREAT, 0644));
	if (fd >= 0)
		close(fd);
	ret(t, "access", access(p, R_OK));
	ret(t, "truncate", truncate(p, 1));
	ret(t, "readlink", readlink(p, buf, sizeof(buf)));
	if (strcmp(p, ".."))
		ret(t, "chmod", chmod(p, 0700));
	ret(t, "mkdir", mkdir(p, 0755));
	ret(t, "rmdir", rmdir(p));
	ret(t, "unlink", unlink(p));
	list(t, ".");
}

const struct case_group conform_open_groups[] = {
	{"open", FLAG_SETS *KINDS, open_run},
	{"create directory", 4 * KINDS, open_directory_run},
	{"create mode", 100, create_mode_run},
	{"open flags", 14 * MODES, flags_run},
	{"open direct", 3 * MODES, direct_run},
	{"unlinked", 2, unlinked_run},
	{"tmpfile", 4, tmpfile_run},
	{"wrong type", 16, wrong_type_run},
	{NULL, 0, NULL},
};
