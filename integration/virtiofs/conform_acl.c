/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Access control lists, what they allow, what modes make of them, and what is
 * born with them. Where one of the two file systems has none, these cases are
 * skipped.
 */

#include "integration/virtiofs/conform.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"
#define USER 1000u
#define GROUP 1000u
#define NAMED_GROUP 50u
#define ENTRIES 6u
#define NOBODY ((unsigned)ACL_UNDEFINED_ID)

struct acl {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry entries[ENTRIES];
};

static void entry(struct acl *acl, unsigned *n, unsigned tag, unsigned perm,
		  unsigned id)
{
	acl->entries[(*n)++] = (struct posix_acl_xattr_entry){
		.e_tag = htole16((uint16_t)tag),
		.e_perm = htole16((uint16_t)perm),
		.e_id = htole32(id),
	};
}

/* With a user and a group by name, and the mask that those ask for; its size.
 */
static size_t acl_make(struct acl *acl, unsigned user, unsigned group,
		       unsigned mask)
{
	unsigned n = 0;

	memset(acl, 0, sizeof(*acl));
	acl->head.a_version = htole32(POSIX_ACL_XATTR_VERSION);
	entry(acl, &n, ACL_USER_OBJ, 7, NOBODY);
	entry(acl, &n, ACL_USER, user, USER);
	entry(acl, &n, ACL_GROUP_OBJ, 5, NOBODY);
	entry(acl, &n, ACL_GROUP, group, NAMED_GROUP);
	entry(acl, &n, ACL_MASK, mask, NOBODY);
	entry(acl, &n, ACL_OTHER, 0, NOBODY);
	return sizeof(*acl);
}

static void set(struct trial *t, const char *path, const char *name,
		const struct acl *acl, size_t size)
{
	ret(t, name, setxattr(path, name, acl, size, 0));
}

/* Each entry, as the file system has it now. */
static void show(struct trial *t, const char *path, const char *name)
{
	struct acl acl;
	ssize_t size = getxattr(path, name, &acl, sizeof(acl));
	size_t n = 0;

	ret(t, name, size);
	if (size > 0)
		n = ((size_t)size - sizeof(acl.head)) / sizeof(acl.entries[0]);
	for (size_t i = 0; i < n; i++)
		note(t, "%#x %o %d", le16toh(acl.entries[i].e_tag),
		     le16toh(acl.entries[i].e_perm),
		     (int)le32toh(acl.entries[i].e_id));
}

static void show_all(struct trial *t, const char *path)
{
	struct stat st;

	if (!ret(t, path, stat(path, &st)))
		note(t, "mode %o", st.st_mode);
	show(t, path, ACCESS);
	show(t, path, DEFAULT);
}

static void try_open(struct trial *t, const char *what, int flags)
{
	int fd = fd_ret(t, what, open("f", flags));

	if (fd >= 0)
		close(fd);
}

static void as_user(struct trial *t, gid_t extra)
{
	if (setgroups(1, &extra) || setegid(GROUP) || seteuid(USER))
		abort();
	try_open(t, "read", O_RDONLY);
	try_open(t, "write", O_WRONLY);
	ret(t, "exec ok", faccessat(AT_FDCWD, "f", X_OK, AT_EACCESS));
	ret(t, "chmod", chmod("f", 0600));
	ret(t, "remove", removexattr("f", ACCESS));
	if (seteuid(0) || setegid(0) || setgroups(0, NULL))
		abort();
}

/* Who is named, by what it is named for, below a mask. */
static void access_run(struct trial *t, unsigned i)
{
	unsigned perm = i % 8;
	unsigned mask = i / 8 % 8;
	bool by_group = i >= 64;
	struct acl acl;
	size_t size = acl_make(&acl, perm, by_group ? perm : 0, mask);

	label(t, "%s with %o, mask %o", by_group ? "group" : "user", perm,
	      mask);
	chmod(".", 0777);
	put(t, "f", "hello", 0640);
	if (by_group)
		acl.entries[1].e_id = htole32(USER + 1);
	set(t, "f", ACCESS, &acl, size);
	show_all(t, "f");
	if (geteuid() == 0)
		as_user(t, NAMED_GROUP);
	show_all(t, "f");
}

/* A mode is written through the mask. */
static void mode_run(struct trial *t, unsigned i)
{
	mode_t mode = (mode_t)(i % 8 << 6 | (i / 8 % 8) << 3 | i % 5);
	struct acl acl;

	label(t, "chmod %03o", mode);
	put(t, "f", "hello", 0640);
	set(t, "f", ACCESS, &acl, acl_make(&acl, 6, 4, 7));
	ret(t, "chmod", chmod("f", mode));
	show_all(t, "f");
	ret(t, "remove", removexattr("f", ACCESS));
	ret(t, "remove", removexattr("f", ACCESS));
	show_all(t, "f");
}

/* What is made in a directory that has a default: by mode, umask and kind. */
static void born_run(struct trial *t, unsigned i)
{
	static const mode_t modes[] = {0777, 0666, 0640, 0700};
	static const mode_t masks[] = {0, 022, 077, 0777};
	mode_t mode = modes[i % 4];
	mode_t mask = masks[i / 4 % 4];
	unsigned kind = i / 16;
	struct acl acl;
	int fd = -1;

	label(t, "kind %u, mode %03o, umask %03o", kind, mode, mask);
	mkdir("d", 0755);
	set(t, "d", DEFAULT, &acl, acl_make(&acl, 7, 5, 7));
	show_all(t, "d");
	umask(mask);
	if (kind == 0)
		fd = fd_ret(t, "open", open("d/n", O_CREAT | O_RDWR, mode));
	else if (kind == 1)
		ret(t, "mkdir", mkdir("d/n", mode));
	else if (kind == 2)
		ret(t, "mknod", mknod("d/n", S_IFIFO | mode, 0));
	else
		ret(t, "symlink", symlink("there", "d/n"));
	if (fd >= 0)
		close(fd);
	umask(0);
	look(t, "d/n");
	if (kind < 3)
		show_all(t, "d/n");
}

/* What is no list, and where none can be. */
static void refused_run(struct trial *t, unsigned i)
{
	struct acl acl;
	size_t size = acl_make(&acl, 6, 4, 7);

	label(t, "%u", i);
	put(t, "f", "hello", 0640);
	mkdir("d", 0755);
	ret(t, "symlink", symlink("f", "l"));
	switch (i) {
	case 0:
		set(t, "f", ACCESS, &acl, size - 1);
		break;
	case 1:
		set(t, "f", ACCESS, &acl, 3);
		break;
	case 2:
		acl.head.a_version = htole32(3);
		set(t, "f", ACCESS, &acl, size);
		break;
	case 3: /* without a mask */
		acl.entries[4].e_tag = htole16(ACL_OTHER);
		set(t, "f", ACCESS, &acl, size - sizeof(acl.entries[0]));
		break;
	case 4:
		acl.entries[1].e_perm = htole16(010);
		set(t, "f", ACCESS, &acl, size);
		break;
	case 5:
		set(t, "f", DEFAULT, &acl, size);
		break;
	case 6:
		ret(t, "link", lsetxattr("l", ACCESS, &acl, size, 0));
		break;
	case 7: /* nothing but the mode */
		acl.entries[1] = acl.entries[2];
		acl.entries[2] = acl.entries[5];
		set(t, "f", ACCESS, &acl,
		    sizeof(acl.head) + 3 * sizeof(acl.entries[0]));
		break;
	case 8: /* none at all */
		set(t, "d", DEFAULT, &acl, size);
		set(t, "d", DEFAULT, &acl, sizeof(acl.head));
		show_all(t, "d");
		break;
	default:
		set(t, "d", DEFAULT, &acl, size);
		ret(t, "remove", removexattr("d", DEFAULT));
		show_all(t, "d");
		break;
	}
	show_all(t, "f");
}

const struct case_group conform_acl_groups[] = {
	{"acl access", 128, access_run},
	{"acl mode", 64, mode_run},
	{"acl born", 64, born_run},
	{"acl refused", 10, refused_run},
	{NULL, 0, NULL},
};
