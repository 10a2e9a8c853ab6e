/* SPDX-License-Identifier: Apache-2.0 */

/* Calls on the file system as a whole, and those that few programs make. */

#include "integration/virtiofs/conform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OWNER 1000

static void ranges(struct trial *t, int mode, const off_t *span)
{
	static char data[16384];
	int fd = open("f", O_RDWR | O_CREAT, 0644);

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)('a' + i / 64 % 26);
	ret(t, "write", write(fd, data, sizeof(data)));
	ret(t, "fsync", fsync(fd));
	ret(t, "fallocate", fallocate(fd, mode, span[0], span[1]));
	look_fd(t, fd);
	close(fd);
	fd = open("f", O_RDONLY);
	ret(t, "read-only", fallocate(fd, mode, span[0], span[1]));
	close(fd);
	content(t, "f");
}

static const off_t spans[][2] = {{0, 100},     {50, 10},      {0, 4096},
				 {4096, 8192}, {16000, 9000}, {8192, 8192},
				 {0, 0},       {-1, 10}};

static void zero_run(struct trial *t, unsigned i)
{
	const off_t *span = spans[i % 8];
	bool keep = i >= 8;

	label(t, "%ld+%ld%s", (long)span[0], (long)span[1],
	      keep ? ", same size" : "");
	ranges(t, FALLOC_FL_ZERO_RANGE | (keep ? FALLOC_FL_KEEP_SIZE : 0),
	       span);
}

static void shift_run(struct trial *t, unsigned i)
{
	const off_t *span = spans[i % 8];
	bool insert = i >= 8;

	label(t, "%s, %ld+%ld", insert ? "insert" : "collapse", (long)span[0],
	      (long)span[1]);
	ranges(t, insert ? FALLOC_FL_INSERT_RANGE : FALLOC_FL_COLLAPSE_RANGE,
	       span);
}

static void seen_times(struct trial *t)
{
	struct statx stx = {0};
	struct stat st;

	ret(t, "stat", stat("f", &st));
	note(t, "%lld %lld", (long long)st.st_atim.tv_sec,
	     (long long)st.st_mtim.tv_sec);
	ret(t, "statx",
	    statx(AT_FDCWD, "f", 0, STATX_ATIME | STATX_MTIME, &stx));
	note(t, "%lld.%u %lld.%u", (long long)stx.stx_atime.tv_sec,
	     stx.stx_atime.tv_nsec, (long long)stx.stx_mtime.tv_sec,
	     stx.stx_mtime.tv_nsec);
}

/* Before 1970, and past what 31 and 32 bits hold; ext4 ends at 2446. */
static void far_times_run(struct trial *t, unsigned i)
{
	static const time_t secs[] = {-1, (1u << 31) - 1, 1u << 31, 4000000000,
				      1ll << 32};
	const struct timespec ts[2] = {{secs[i % 5], 999999999},
				       {secs[(i + 1) % 5], 1}};

	label(t, "%s, %lld", i < 5 ? "file" : "directory",
	      (long long)secs[i % 5]);
	make(t, "f", i < 5 ? KIND_FILE : KIND_DIR);
	ret(t, "utimensat", utimensat(AT_FDCWD, "f", ts, 0));
	seen_times(t);
	ret(t, "chmod", chmod("f", 0700));
	seen_times(t);
}

static void note_statvfs(struct trial *t, const struct statvfs *s, bool sizes)
{
	if (sizes) {
		note(t, "%llu blocks, %llu files",
		     (unsigned long long)s->f_blocks,
		     (unsigned long long)s->f_files);
		return;
	}
	note(t, "blocks of %lu and %lu, names of %lu, read-only %lu",
	     s->f_bsize, s->f_frsize, s->f_namemax, s->f_flag & ST_RDONLY);
	note(t, "free of all %d, of free %d, files %d, of free %d",
	     s->f_bfree <= s->f_blocks, s->f_bavail <= s->f_bfree,
	     s->f_ffree <= s->f_files, s->f_favail <= s->f_ffree);
}

static void statvfs_run(struct trial *t, unsigned i)
{
	static const char *const paths[] = {".", "f", "d", "p", "s", "none"};
	bool sizes = i == 1;
	struct statvfs s;
	int fd;

	label(t, "%s", sizes ? "size" : "fields");
	make(t, "f", KIND_FILE);
	make(t, "d", KIND_DIR);
	make(t, "p", KIND_FIFO);
	ret(t, "symlink", symlink("nowhere", "s"));
	for (unsigned n = 0; n < 6; n++) {
		if (ret(t, paths[n], statvfs(paths[n], &s)) == 0)
			note_statvfs(t, &s, sizes);
	}
	fd = open("f", O_RDONLY);
	ret(t, "unlink", unlink("f"));
	if (ret(t, "fstatvfs", fstatvfs(fd, &s)) == 0)
		note_statvfs(t, &s, sizes);
	close(fd);
}

#define NAMES_MAX 320u

static long places[NAMES_MAX];
static char names[NAMES_MAX][16];

static unsigned count_from(DIR *dir, unsigned first)
{
	unsigned n = first;
	struct dirent *d;

	for (; n < NAMES_MAX; n++) {
		places[n] = telldir(dir);
		d = readdir(dir);
		if (!d)
			break;
		snprintf(names[n], sizeof(names[n]), "%.15s", d->d_name);
	}
	return n;
}

/* Each place leads to the name that was read there. */
static unsigned wrong_places(DIR *dir, unsigned n, unsigned step)
{
	unsigned wrong = 0;
	struct dirent *d;

	for (unsigned i = 0; i < n; i++) {
		unsigned at = i * step % n;

		seekdir(dir, places[at]);
		d = readdir(dir);
		wrong += !d || strcmp(d->d_name, names[at]) != 0;
	}
	return wrong;
}

static void telldir_run(struct trial *t, unsigned i)
{
	static const unsigned counts[] = {0, 1, 7, 300};
	char name[16];
	unsigned n;
	DIR *dir;

	label(t, "%u names", counts[i]);
	for (unsigned k = 0; k < counts[i]; k++) {
		snprintf(name, sizeof(name), "name-%u", k);
		if (mkfifo(name, 0600))
			ret(t, "mkfifo", -1);
	}
	dir = opendir(".");
	n = count_from(dir, 0);
	note(t, "%u", n);
	note(t, "wrong %u, %u", wrong_places(dir, n, 1),
	     wrong_places(dir, n, 37));
	seekdir(dir, places[n / 2]);
	note(t, "from the middle %d", count_from(dir, n / 2) == n);
	seekdir(dir, places[n]);
	note(t, "at the end %d", !readdir(dir));
	ret(t, "mkfifo", mkfifo("another", 0600));
	rewinddir(dir);
	note(t, "again %u", count_from(dir, 0));
	closedir(dir);
}

struct handle {
	struct file_handle head;
	char data[MAX_HANDLE_SZ];
};

static void open_handle(struct trial *t, struct file_handle *handle)
{
	int at = open(".", O_RDONLY | O_DIRECTORY);
	int fd = fd_ret(t, "open by it",
			open_by_handle_at(at, handle, O_RDONLY));

	if (fd >= 0) {
		look_fd(t, fd);
		close(fd);
	}
	close(at);
}

static void handle_run(struct trial *t, unsigned i)
{
	static const unsigned kinds[] = {KIND_FILE, KIND_DIR, KIND_LINK_FILE,
					 KIND_LINK_NONE, KIND_NONE};
	static struct handle handle;
	int flags = i < 5 ? 0 : AT_SYMLINK_FOLLOW;
	unsigned kind = kinds[i % 5];
	int mount_id;

	label(t, "%s%s", kind_name(kind), flags ? ", followed" : "");
	make(t, "f", kind);
	handle.head.handle_bytes = 0;
	ret(t, "no room",
	    name_to_handle_at(AT_FDCWD, "f", &handle.head, &mount_id, flags));
	handle.head.handle_bytes = MAX_HANDLE_SZ;
	if (ret(t, "handle",
		name_to_handle_at(AT_FDCWD, "f", &handle.head, &mount_id,
				  flags)))
		return;
	note(t, "has bytes %d", handle.head.handle_bytes > 0);
	if (kind > KIND_DIR && !flags)
		return;
	open_handle(t, &handle.head);
	ret(t, "rename", rename("f", "g"));
	open_handle(t, &handle.head);
}

static void change(struct trial *t, unsigned how)
{
	int fd = open("f", O_RDWR);

	if (how == 0)
		ret(t, "write", write(fd, "x", 1));
	else if (how == 1)
		ret(t, "truncate", ftruncate(fd, 1));
	else if (how == 2)
		ret(t, "chown", chown("f", OWNER, OWNER));
	else if (how == 3)
		ret(t, "chmod", chmod("f", 0700));
	else
		ret(t, "read", read(fd, (char[1]){0}, 1));
	close(fd);
}

/* Of a file, which changes of it take away. */
static void capability_run(struct trial *t, unsigned i)
{
	static const char *const hows[] = {"write", "truncate",	    "chown",
					   "chmod", "read",	    "user's",
					   "short", "a directory's"};
	const char *const name = "security.capability";
	struct vfs_cap_data caps = {
		.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
		.data[0].permitted = 1u << CAP_NET_RAW,
	};
	struct vfs_cap_data got = {0};
	size_t size = i == 6 ? 3 : sizeof(caps);
	bool user = i == 5 && geteuid() == 0;

	label(t, "%s", hows[i]);
	make(t, "f", i == 7 ? KIND_DIR : KIND_FILE);
	if (user)
		ret(t, "chown", chown("f", OWNER, OWNER));
	if (user)
		ret(t, "seteuid", seteuid(OWNER));
	ret(t, "set", setxattr("f", name, &caps, size, 0));
	if (user)
		ret(t, "seteuid", seteuid(0));
	ret(t, "get", getxattr("f", name, &got, sizeof(got)));
	note(t, "%x %x", got.magic_etc, got.data[0].permitted);
	if (i < 5)
		change(t, i);
	ret(t, "get", getxattr("f", name, &got, sizeof(got)));
	ret(t, "list", listxattr("f", NULL, 0));
	ret(t, "remove", removexattr("f", name));
	ret(t, "get", getxattr("f", name, &got, sizeof(got)));
}

const struct case_group conform_fs_groups[] = {
	{"zero range", 16, zero_run},
	{"shift range", 16, shift_run},
	{"far times", 10, far_times_run},
	{"statvfs", 2, statvfs_run},
	{"telldir", 4, telldir_run},
	{"file handle", 10, handle_run},
	{"xattr capability", 8, capability_run},
	{NULL, 0, NULL},
};
