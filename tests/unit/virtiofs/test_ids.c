/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/virtiofs/client.h"

#include <grp.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/privilege.h"
#include "virtiofs/idmap.h"
#include "virtiofs/needs.h"

/* Ids of others. Most of it needs root. */

/* The directory is root's alone: the guest's kernel has checked, not we. */
static void test_owner(void **state)
{
	struct client *c = client_of_user();
	struct fuse_mkdir_in mkdir_in = {.mode = 0755};
	struct fuse_mknod_in mknod_in = {.mode = S_IFIFO | 0644};
	struct fuse_create_in tmp = {.flags = O_RDWR, .mode = 0600};
	struct fuse_entry_out *entry;
	uint64_t node;
	uint64_t fh;

	if (!c)
		skip();
	entry = client_body(c);
	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0640, &node, &fh), 0);
	client_owner(c, "f", GUEST_UID, GUEST_GID);
	client_entry(c, client_call(c, FUSE_MKDIR, 1, &mkdir_in,
				    sizeof(mkdir_in), "d", 2));
	client_owner(c, "d", GUEST_UID, GUEST_GID);
	client_entry(c, client_call(c, FUSE_MKNOD, 1, &mknod_in,
				    sizeof(mknod_in), "p", 2));
	client_owner(c, "p", GUEST_UID, GUEST_GID);
	client_entry(c, client_call(c, FUSE_SYMLINK, 1, "s\0t", 4, NULL, 0));
	client_owner(c, "s", GUEST_UID, GUEST_GID);
	client_entry(
		c, client_call(c, FUSE_TMPFILE, 1, &tmp, sizeof(tmp), "#", 2));
	assert_int_equal(entry->attr.uid, GUEST_UID);
	/* The thread is itself again, after errors as well. */
	assert_int_equal(
		client_create(c, 1, "f", O_RDWR | O_EXCL, 0640, &node, &fh),
		-EEXIST);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	c->uid = UINT32_MAX;
	assert_int_equal(client_create(c, 1, "g", O_RDWR, 0640, &node, &fh),
			 -EOVERFLOW);
	c->uid = 0;
	c->gid = GUEST_GID;
	assert_int_equal(client_create(c, 1, "g", O_RDWR, 0640, &node, &fh), 0);
	client_owner(c, "g", 0, GUEST_GID);
	assert_int_equal(geteuid(), 0);
	assert_int_equal(getegid(), 0);
	client_free(c);
}

/* CVE-2022-0358: who is not in the group of a set-group-ID directory gets no
 * set-group-ID file in it. */
static void test_setgid_directory(void **state)
{
	struct client *c = client_of_user();
	struct fuse_mkdir_in mkdir_in = {.mode = 0755};
	struct fuse_mknod_in mknod_in = {.mode = S_IFREG | 02755};
	struct stat st;
	uint64_t node;
	uint64_t dir;
	uint64_t fh;

	if (!c)
		skip();
	assert_int_equal(mkdirat(c->dir, "d", 0777), 0);
	assert_int_equal(fchownat(c->dir, "d", 0, 99, 0), 0);
	assert_int_equal(fchmodat(c->dir, "d", 02777, 0), 0);
	dir = client_lookup(c, 1, "d");
	assert_int_equal(client_create(c, dir, "f", O_RDWR, 02755, &node, &fh),
			 0);
	client_entry(c, client_call(c, FUSE_MKNOD, dir, &mknod_in,
				    sizeof(mknod_in), "n", 2));
	assert_int_equal(fstatat(c->dir, "d/f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	client_owner(c, "d/f", GUEST_UID, 99);
	assert_int_equal(fstatat(c->dir, "d/n", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	/* Directories inherit the bit. */
	client_entry(c, client_call(c, FUSE_MKDIR, dir, &mkdir_in,
				    sizeof(mkdir_in), "e", 2));
	assert_int_equal(fstatat(c->dir, "d/e", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 02755);
	client_free(c);
}

/* A MKNOD with an extension behind it. */
static int mknod_extended(struct client *c, uint64_t dir, const void *ext,
			  size_t len)
{
	struct {
		struct fuse_in_header head;
		struct fuse_mknod_in in;
		char name[8];
	} req = {
		.head = {.opcode = FUSE_MKNOD,
			 .unique = 9,
			 .nodeid = dir,
			 .uid = c->uid,
			 .gid = c->gid,
			 .len = (uint32_t)(sizeof(req) + len),
			 .total_extlen = (uint16_t)(len / 8)},
		.in = {.mode = S_IFREG | 02755},
		.name = "n",
	};
	struct fuse_out_header *out = (void *)c->out;

	memcpy(c->in, &req, sizeof(req));
	memcpy(c->in + sizeof(req), ext, len);
	assert_int_equal(client_raw(c, sizeof(req) + len, 4096), 0);
	return out->error;
}

/* Who is in the group, by what the extension says, keeps the bit. */
static void test_supplementary_group(void **state)
{
	struct client *c = client_of_user();
	uint32_t ext[4] = {16, FS_EXT_GROUPS, 1, 99};
	gid_t group;
	uint64_t dir;

	if (!c)
		skip();
	assert_true(c->features & FS_CREATE_SUPP_GROUP);
	assert_int_equal(mkdirat(c->dir, "d", 0777), 0);
	assert_int_equal(fchownat(c->dir, "d", 0, 99, 0), 0);
	assert_int_equal(fchmodat(c->dir, "d", 02777, 0), 0);
	dir = client_lookup(c, 1, "d");
	assert_int_equal(mknod_extended(c, dir, ext, sizeof(ext)), 0);
	assert_int_equal(client_mode(c, "d/n"), 02755);
	client_owner(c, "d/n", GUEST_UID, 99);
	/* It was for that request. */
	assert_int_equal(getgroups(1, &group), 0);
	assert_int_equal(client_name(c, FUSE_UNLINK, dir, "n"), 0);
	ext[3] = 98;
	assert_int_equal(mknod_extended(c, dir, ext, sizeof(ext)), 0);
	assert_int_equal(client_mode(c, "d/n"), 0755);
	assert_int_equal(client_name(c, FUSE_UNLINK, dir, "n"), 0);
	/* Two groups are none; sizes that are wrong. */
	ext[2] = 2;
	assert_int_equal(mknod_extended(c, dir, ext, sizeof(ext)), 0);
	assert_int_equal(client_mode(c, "d/n"), 0755);
	ext[0] = 24;
	assert_int_equal(mknod_extended(c, dir, ext, sizeof(ext)), -EINVAL);
	ext[0] = 0;
	assert_int_equal(mknod_extended(c, dir, ext, sizeof(ext)), -EINVAL);
	ext[0] = 10;
	assert_int_equal(mknod_extended(c, dir, ext, sizeof(ext)), -EINVAL);
	client_free(c);
}

/* user::rw-, group::r--, other::r-- as the kernel keeps it. */
static const uint8_t acl[] = {2,   0,	0, 0, 1,   0,	7,   0,	  255, 255,
			      255, 255, 4, 0, 5,   0,	255, 255, 255, 255,
			      32,  0,	5, 0, 255, 255, 255, 255};

static void test_acl(void **state)
{
	struct virtiofs_config config = {.xattr = true, .posix_acl = true};
	struct fuse_setxattr_in in = {.size = sizeof(acl)};
	struct fuse_mkdir_in mkdir_in = {.mode = 0777, .umask = 027};
	char more[23 + 1 + sizeof(acl)];
	struct client *c;
	uint64_t node;
	int n;

	if (geteuid() != 0)
		skip();
	c = client_new(&config);
	assert_int_equal(client_init(c, UINT32_MAX), 0);
	client_host_file(c, "f", "x");
	assert_int_equal(fchownat(c->dir, "f", 0, 99, 0), 0);
	assert_int_equal(fchmodat(c->dir, "f", 02755, 0), 0);
	node = client_lookup(c, 1, "f");
	memcpy(more, "system.posix_acl_access", 24);
	memcpy(more + 24, acl, sizeof(acl));
	n = client_call(c, FUSE_SETXATTR, node, &in, sizeof(in), more,
			sizeof(more));
	if (n == -EOPNOTSUPP) {
		client_free(c);
		skip();
	}
	assert_int_equal(n, 0);
	assert_int_equal(client_mode(c, "f"), 02755);
	in.setxattr_flags = FUSE_SETXATTR_ACL_KILL_SGID;
	c->gid = GUEST_GID;
	assert_int_equal(client_call(c, FUSE_SETXATTR, node, &in, sizeof(in),
				     more, sizeof(more)),
			 0);
	assert_int_equal(client_mode(c, "f"), 0755);
	assert_int_equal(getegid(), 0);

	/* The server has the umask, unless there is a default ACL. */
	c->gid = 0;
	client_entry(c, client_call(c, FUSE_MKDIR, 1, &mkdir_in,
				    sizeof(mkdir_in), "d", 2));
	assert_int_equal(client_mode(c, "d"), 0750);
	client_free(c);
}

/* The same, and what others may. */
static const struct named_acl {
	struct posix_acl_xattr_header head;
	struct posix_acl_xattr_entry owner, user, owners, group, mask, other;
} named = {
	.head = {POSIX_ACL_XATTR_VERSION},
	.owner = {ACL_USER_OBJ, 7, UINT32_MAX},
	.user = {ACL_USER, 4, GUEST_UID},
	.owners = {ACL_GROUP_OBJ, 5, UINT32_MAX},
	.group = {ACL_GROUP, 4, GUEST_GID},
	.mask = {ACL_MASK, 4, UINT32_MAX},
	.other = {ACL_OTHER, 5, UINT32_MAX},
};

static int set_named(struct client *c, uint64_t node)
{
	struct fuse_setxattr_in in = {.size = sizeof(named)};
	char more[24 + sizeof(named)];

	memcpy(more, "system.posix_acl_access", 24);
	memcpy(more + 24, &named, sizeof(named));
	return client_call(c, FUSE_SETXATTR, node, &in, sizeof(in), more,
			   sizeof(more));
}

/* Whom a list names is another one on the host; and who is forbidden is not to
 * be named. */
static void test_acl_of_others(void **state)
{
	struct fs_idmap uids = {0};
	struct fs_idmap gids = {0};
	struct virtiofs_config config = {
		.xattr = true,
		.posix_acl = true,
		.uids = &uids,
		.gids = &gids,
	};
	struct fuse_getxattr_in get = {.size = 200};
	struct named_acl there;
	char path[100];
	struct client *c;
	uint64_t node;
	int n;

	if (geteuid() != 0)
		skip();
	assert_int_equal(fs_idmap_add(&uids, "map:1000:5000:1000"), 0);
	assert_int_equal(fs_idmap_add(&gids, "map:2000:70000:1000"), 0);
	assert_int_equal(fs_idmap_add(&gids, "forbid-guest:3000:1"), 0);
	c = client_new(&config);
	assert_int_equal(client_init(c, UINT32_MAX), 0);
	client_host_file(c, "f", "x");
	node = client_lookup(c, 1, "f");
	n = set_named(c, node);
	if (n == -EOPNOTSUPP) {
		client_free(c);
		skip();
	}
	assert_int_equal(n, 0);
	snprintf(path, sizeof(path), "%s/f", c->path);
	n = (int)getxattr(path, "system.posix_acl_access", &there,
			  sizeof(there));
	assert_int_equal(n, sizeof(named));
	assert_int_equal(there.user.e_id, 5000 + GUEST_UID - 1000);
	assert_int_equal(there.group.e_id, 70000 + GUEST_GID - 2000);
	n = client_call(c, FUSE_GETXATTR, node, &get, sizeof(get),
			"system.posix_acl_access", 24);
	assert_int_equal(n, sizeof(named));
	assert_memory_equal(client_body(c), &named, sizeof(named));

	gids.to_host.n = 0;
	assert_int_equal(fs_idmap_add(&gids, "forbid-guest:2000:1000"), 0);
	assert_int_equal(set_named(c, node), -EPERM);
	client_free(c);
}

static void test_mask_is_the_guests(void **state)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	struct fuse_mkdir_in in = {.mode = 0777, .umask = 0777};
	uint64_t node;
	uint64_t fh;

	client_entry(c, client_call(c, FUSE_MKDIR, 1, &in, sizeof(in), "d", 2));
	assert_int_equal(client_mode(c, "d"), 0777);
	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0666, &node, &fh), 0);
	assert_int_equal(client_mode(c, "f"), 0666);
	client_free(c);
}

/* Without capabilities, everything is ours and nothing fails for that. */
static void unprivileged(void)
{
	struct client *c;
	struct fuse_setattr_in owner = {.valid = FATTR_UID, .uid = 77};
	uint64_t node = 0;
	uint64_t fh;

	c = client_started(VIRTIOFS_CACHE_AUTO);
	c->uid = GUEST_UID;
	c->gid = GUEST_GID;
	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0600, &node, &fh), 0);
	client_owner(c, "f", getuid(), getgid());
	assert_int_equal(client_setattr(c, node, &owner), -EPERM);
	/* One that we may not read is still a file with attributes. */
	assert_int_equal(fchmodat(c->dir, "f", 0, 0), 0);
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh),
			 -EACCES);
	owner = (struct fuse_setattr_in){.valid = FATTR_MODE | FATTR_MTIME,
					 .mode = 0640};
	assert_int_equal(client_setattr(c, node, &owner), 0);
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDONLY, &fh), 0);
	assert_true(client_call(c, FUSE_LINK, 1, &(struct fuse_link_in){node},
				8, "g", 2) > 0);
	client_free(c);
}

static void test_unprivileged(void **state)
{
	pid_t pid;
	int status;

	if (geteuid() != 0) {
		unprivileged();
		return;
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		assert_int_equal(setgroups(0, NULL), 0);
		assert_int_equal(setresgid(65534, 65534, 65534), 0);
		assert_int_equal(setresuid(65534, 65534, 65534), 0);
		unprivileged();
		_exit(0);
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* By a user with capabilities: to be the guest's root for one request costs
 * none of them. */
static void privileged(void)
{
	struct virtiofs_config config = {0};
	struct client *c;
	uint64_t node;
	uint64_t fh;

	assert_int_equal(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 0);
	assert_int_equal(setresuid(65534, 65534, 65534), 0);
	assert_int_equal(privilege_set(VIRTIOFS_CAPS), 0);
	assert_int_equal(prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0), 0);
	c = client_new(&config);
	assert_true(c->thread->can_setid);
	assert_int_equal(client_init(c, UINT32_MAX), 0);
	c->uid = 0;
	c->gid = 0;
	assert_int_equal(client_create(c, 1, "f", O_RDWR, 0600, &node, &fh), 0);
	client_owner(c, "f", 0, 0);
	assert_int_equal(geteuid(), 65534);
	c->uid = GUEST_UID;
	c->gid = GUEST_GID;
	assert_int_equal(client_create(c, 1, "g", O_RDWR, 0600, &node, &fh), 0);
	client_owner(c, "g", GUEST_UID, GUEST_GID);
	client_free(c);
}

/* As in the sandbox: nothing to see but the tree, no /proc. */
static void empty_root(void)
{
	struct client *c = client_started(VIRTIOFS_CACHE_AUTO);
	int old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct fuse_getxattr_in list = {.size = 100};
	struct fuse_setattr_in mode = {.valid = FATTR_MODE | FATTR_SIZE,
				       .mode = 0600};
	uint64_t node;
	uint64_t fh = 0;

	client_host_file(c, "f", "hello");
	assert_int_equal(chroot(c->path), 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(access("/proc", F_OK), -1);
	node = client_lookup(c, 1, "f");
	assert_int_equal(client_open(c, FUSE_OPEN, node, O_RDWR, &fh), 0);
	assert_int_equal(client_read(c, node, fh, 0, 10), 5);
	assert_int_equal(client_setattr(c, node, &mode), 0);
	assert_true(client_call(c, FUSE_LISTXATTR, node, &list, sizeof(list),
				NULL, 0) >= 0);
	assert_true(client_call(c, FUSE_LINK, 1, &(struct fuse_link_in){node},
				8, "g", 2) > 0);
	assert_int_equal(client_create(c, 1, "h", O_RDWR, 0600, &node, &fh), 0);
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "g"), 0);
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "h"), 0);
	assert_int_equal(client_name(c, FUSE_UNLINK, 1, "f"), 0);
	assert_int_equal(fchdir(old), 0);
	assert_int_equal(chroot("."), 0);
	close(old);
	client_free(c);
}

static void in_child(void (*run)(void))
{
	pid_t pid;
	int status;

	if (geteuid() != 0)
		skip();
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		run();
		_exit(0);
	}
	assert_true(waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void test_privileged(void **state)
{
	in_child(privileged);
}

static void test_empty_root(void **state)
{
	in_child(empty_root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_setgid_directory),
		cmocka_unit_test(test_supplementary_group),
		cmocka_unit_test(test_acl),
		cmocka_unit_test(test_acl_of_others),
		cmocka_unit_test(test_mask_is_the_guests),
		cmocka_unit_test(test_unprivileged),
		cmocka_unit_test(test_privileged),
		cmocka_unit_test(test_empty_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
