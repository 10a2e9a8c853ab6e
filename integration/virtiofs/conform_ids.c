/* SPDX-License-Identifier: Apache-2.0 */

/* Who may do what. As another user than root these cases do nothing. */

#include "integration/virtiofs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define USER 1000
#define GROUP 1000
#define OTHER 2000
#define EXTRA 50 /* a supplementary group of the user */

static bool become(uid_t uid, gid_t gid)
{
	static const gid_t groups[] = {EXTRA};

	if (geteuid() != 0)
		return false;
	return !setgroups(1, groups) && !setegid(gid) && !seteuid(uid);
}

static void become_root(void)
{
	if (seteuid(0) || setegid(0) || setgroups(0, NULL))
		abort();
}

static void open_close(struct trial *t, const char *what, const char *path,
		       int flags)
{
	int fd = fd_ret(t, what, open(path, flags, 0644));

	if (fd >= 0)
		close(fd);
}

static void file_calls(struct trial *t)
{
	open_close(t, "read", "f", O_RDONLY);
	open_close(t, "write", "f", O_WRONLY);
	open_close(t, "both", "f", O_RDWR);
	open_close(t, "truncate", "f", O_WRONLY | O_TRUNC);
	ret(t, "truncate", truncate("f", 2));
	ret(t, "read ok", faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
	ret(t, "write ok", faccessat(AT_FDCWD, "f", W_OK, AT_EACCESS));
	ret(t, "exec ok", faccessat(AT_FDCWD, "f", X_OK, AT_EACCESS));
	ret(t, "touch", utimensat(AT_FDCWD, "f", NULL, 0));
	if (!have_xattr)
		return;
	ret(t, "setxattr", setxattr("f", "user.a", "x", 1, 0));
	ret(t, "getxattr", getxattr("f", "user.a", NULL, 0));
}

static void dir_calls(struct trial *t)
{
	struct stat st;

	open_close(t, "open", "d", O_RDONLY | O_DIRECTORY);
	ret(t, "stat below", stat("d/f", &st));
	open_close(t, "open below", "d/f", O_RDONLY);
	open_close(t, "create", "d/new", O_WRONLY | O_CREAT);
	ret(t, "mkdir", mkdir("d/newdir", 0755));
	ret(t, "symlink", symlink("x", "d/link"));
	ret(t, "link", link("d/mine", "d/hard"));
	ret(t, "rename", rename("d/mine", "d/yours"));
	ret(t, "unlink", unlink("d/f"));
	ret(t, "chdir", chdir("d") ? -1 : chdir(".."));
}

static void owner_set(struct trial *t, const char *path, unsigned class)
{
	uid_t uid = class == 0 ? USER : OTHER;
	gid_t gid = class == 1 ? GROUP : class == 2 ? EXTRA : OTHER;

	ret(t, "chown", chown(path, uid, gid));
}

/* Each set of bits, as owner, as member of the group, by another group of
 * the process, and as nobody of these. */
static void permission_run(struct trial *t, unsigned i)
{
	static const unsigned shift[] = {6, 3, 3, 0};
	unsigned class = i / 8 % 4;
	mode_t mode = (i % 8) << shift[class];
	bool dir = i >= 32;

	label(t, "%s, mode %04o, class %u", dir ? "directory" : "file", mode,
	      class);
	if (dir) {
		mkdir("d", 0755);
		put(t, "d/f", "hello", 0644);
		put(t, "d/mine", "hello", 0644);
		ret(t, "chown", chown("d/mine", USER, GROUP));
		owner_set(t, "d", class);
		ret(t, "chmod", chmod("d", mode));
	} else {
		put(t, "f", "hello", 0644);
		owner_set(t, "f", class);
		ret(t, "chmod", chmod("f", mode));
	}
	chmod(".", 0777);
	if (!become(USER, GROUP))
		return;
	if (dir)
		dir_calls(t);
	else
		file_calls(t);
	become_root();
	look(t, "f");
	list(t, "d");
	look(t, "d/new");
	look(t, "d/newdir");
	look(t, "d/link");
}

static void sticky_run(struct trial *t, unsigned i)
{
	uid_t dir_owner = i & 1 ? USER : OTHER;
	uid_t file_owner = i & 2 ? USER : OTHER;
	mode_t mode = i & 4 ? 01777 : 0777;

	label(t, "directory %o of %u, file of %u", mode, dir_owner, file_owner);
	mkdir("d", 0755);
	put(t, "d/a", "hello", 0644);
	put(t, "d/b", "hello", 0644);
	put(t, "d/c", "hello", 0644);
	ret(t, "chown", chown("d/a", file_owner, file_owner));
	ret(t, "chown", chown("d/b", file_owner, file_owner));
	ret(t, "chown", chown("d/c", file_owner, file_owner));
	ret(t, "chown", chown("d", dir_owner, dir_owner));
	ret(t, "chmod", chmod("d", mode));
	if (!become(USER, GROUP))
		return;
	ret(t, "unlink", unlink("d/a"));
	ret(t, "rename", rename("d/b", "d/x"));
	put(t, "d/mine", "hello", 0644);
	ret(t, "rename over", rename("d/mine", "d/c"));
	become_root();
	list(t, "d");
}

static void chown_run(struct trial *t, unsigned i)
{
	static const mode_t modes[] = {0755, 04755, 02755, 06755, 02644, 06711};
	static const uid_t uids[] = {(uid_t)-1, USER, OTHER};
	static const gid_t gids[] = {(gid_t)-1, GROUP, EXTRA, OTHER};
	mode_t mode = modes[i % 6];
	uid_t uid = uids[i / 6 % 3];
	gid_t gid = gids[i / 18 % 4];
	bool root = i / 72 % 2;

	label(t, "%s: %o to %d:%d", root ? "root" : "owner", mode, (int)uid,
	      (int)gid);
	put(t, "f", "hello", 0644);
	mkdir("d", 0755);
	ret(t, "chown", chown("f", USER, GROUP));
	ret(t, "chown", chown("d", USER, GROUP));
	ret(t, "chmod", chmod("f", mode));
	ret(t, "chmod", chmod("d", mode));
	if (!root && !become(USER, GROUP))
		return;
	ret(t, "chown file", chown("f", uid, gid));
	ret(t, "chown directory", chown("d", uid, gid));
	if (!root)
		become_root();
	look(t, "f");
	look(t, "d");
}

static void bits_write(struct trial *t, unsigned how)
{
	int fd;

	if (how == 4) {
		ret(t, "truncate", truncate("f", 3));
		return;
	}
	fd = fd_ret(t, "open", open("f", O_RDWR | (how == 3 ? O_TRUNC : 0)));
	if (how == 0)
		ret(t, "write", write(fd, "x", 1));
	else if (how == 1)
		ret(t, "truncate", ftruncate(fd, 2));
	else if (how == 2)
		ret(t, "fallocate", fallocate(fd, 0, 0, 100));
	close(fd);
}

/* What a write does to set-id bits, by root and by another. */
static void bits_run(struct trial *t, unsigned i)
{
	static const mode_t modes[] = {06777, 04777, 02777, 02767, 06766, 0777};
	mode_t mode = modes[i % 6];
	unsigned how = i / 6 % 5;
	bool root = i >= 30;

	label(t, "%s, way %u, mode %o", root ? "root" : "other", how, mode);
	put(t, "f", "hello", 0644);
	ret(t, "chown", chown("f", OTHER, OTHER));
	ret(t, "chmod", chmod("f", mode));
	if (!root && !become(USER, GROUP))
		return;
	bits_write(t, how);
	look(t, "f");
	if (!root)
		become_root();
	look(t, "f");
}

static void chmod_run(struct trial *t, unsigned i)
{
	static const mode_t modes[] = {0644, 04755, 02755, 06755, 01755, 0};
	static const gid_t gids[] = {GROUP, EXTRA, OTHER};
	mode_t mode = modes[i % 6];
	gid_t gid = gids[i / 6 % 3];
	uid_t owner = i >= 18 ? OTHER : USER;

	label(t, "file of %u:%u to %o", owner, gid, mode);
	put(t, "f", "hello", 0644);
	mkdir("d", 0755);
	ret(t, "chown", chown("f", owner, gid));
	ret(t, "chown", chown("d", owner, gid));
	if (!become(USER, GROUP))
		return;
	ret(t, "chmod file", chmod("f", mode));
	ret(t, "chmod directory", chmod("d", mode));
	become_root();
	look(t, "f");
	look(t, "d");
}

/* Creation in a set-group-ID directory of a group we are in, or not. */
static void setgid_run(struct trial *t, unsigned i)
{
	static const mode_t modes[] = {0644, 02755, 02644, 06755, 04755};
	static const gid_t gids[] = {GROUP, EXTRA, OTHER};
	mode_t mode = modes[i % 5];
	gid_t gid = gids[i / 5];

	label(t, "group %u, mode %o", gid, mode);
	mkdir("d", 0755);
	ret(t, "chown", chown("d", 0, gid));
	ret(t, "chmod", chmod("d", 02777));
	if (!become(USER, GROUP))
		return;
	umask(0);
	close(open("d/f", O_WRONLY | O_CREAT, mode));
	ret(t, "mkdir", mkdir("d/d", mode));
	ret(t, "mknod", mknod("d/n", S_IFREG | mode, 0));
	umask(022);
	become_root();
	look(t, "d/f");
	look(t, "d/d");
	look(t, "d/n");
}

static void times_run(struct trial *t, unsigned i)
{
	const struct timespec given[2] = {{5, 0}, {6, 0}};
	const struct timespec half[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
	uid_t owner = i & 1 ? USER : OTHER;
	mode_t mode = i & 2 ? 0666 : 0444;

	label(t, "file of %u, mode %o", owner, mode);
	put(t, "f", "hello", 0644);
	ret(t, "chown", chown("f", owner, owner));
	ret(t, "chmod", chmod("f", mode));
	if (!become(USER, GROUP))
		return;
	ret(t, "now", utimensat(AT_FDCWD, "f", NULL, 0));
	ret(t, "given", utimensat(AT_FDCWD, "f", given, 0));
	ret(t, "half", utimensat(AT_FDCWD, "f", half, 0));
	become_root();
}

const struct case_group conform_ids_groups[] = {
	{"permission", 64, permission_run},
	{"sticky", 8, sticky_run},
	{"chown", 144, chown_run},
	{"set-id bits", 60, bits_run},
	{"chmod", 36, chmod_run},
	{"set-group-ID directory", 15, setgid_run},
	{"times of others", 4, times_run},
	{NULL, 0, NULL},
};
