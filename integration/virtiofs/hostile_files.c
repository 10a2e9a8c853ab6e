/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/replay.h"
#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"
#include "integration/virtiofs/hostile_shape.h"
#include "integration/virtiofs/hostile_watch.h"

static const uint32_t ways[] = {
	O_RDONLY,
	O_WRONLY,
	O_RDWR,
	O_RDWR | O_TRUNC,
	O_RDONLY | O_NONBLOCK,
	O_WRONLY | O_NONBLOCK | O_APPEND,
	O_RDONLY | O_PATH,
	O_RDONLY | O_DIRECTORY,
	O_RDWR | O_TMPFILE,
	O_RDWR | O_DIRECT | O_NOATIME,
};

static int create(uint64_t dir, const char *name, uint32_t flags)
{
	struct {
		struct fuse_create_in in;
		char name[256];
	} args = {.in = {.flags = flags, .mode = S_IFREG | 0644}};

	snprintf(args.name, sizeof(args.name), "%s", name);
	return hostile_call(FUSE_CREATE, dir, &args,
			    sizeof(args.in) + strlen(name) + 1);
}

static int truncate_node(uint64_t node)
{
	const struct fuse_setattr_in in = {.valid = FATTR_SIZE};

	return hostile_call(FUSE_SETATTR, node, &in, sizeof(in));
}

static int make_link(uint64_t old, uint64_t dir, const char *name)
{
	struct {
		struct fuse_link_in in;
		char name[32];
	} args = {.in.oldnodeid = old};

	snprintf(args.name, sizeof(args.name), "%s", name);
	return hostile_call(FUSE_LINK, dir, &args,
			    sizeof(args.in) + strlen(name) + 1);
}

static int rename_to(uint64_t dir, const char *name, uint64_t newdir,
		     const char *newname, uint32_t flags)
{
	struct {
		struct fuse_rename2_in in;
		char names[64];
	} args = {.in = {.newdir = newdir, .flags = flags}};
	size_t len = strlen(name) + 1;

	strcpy(args.names, name);
	strcpy(args.names + len, newname);
	len += strlen(newname) + 1;
	return hostile_call(FUSE_RENAME2, dir, &args, sizeof(args.in) + len);
}

/* What is no file and no directory has a name, and is never opened. */
static void never_opened(uint64_t dir, const char *name, int error)
{
	uint64_t node = hostile_lookup(dir, name);
	uint64_t fh;
	int got;

	if (!hostile_check(node, "LOOKUP %s", name))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		bool writes = (ways[i] & (O_ACCMODE | O_TRUNC)) != 0;

		got = hostile_open(node, ways[i], &fh);
		hostile_check(got == error || (hostile.readonly && writes &&
					       got == -EROFS),
			      "OPEN %s, flags %#x: %d", name, ways[i], got);
		got = create(dir, name, ways[i]);
		hostile_check(got == error ||
				      (hostile.readonly && got == -EROFS),
			      "CREATE %s, flags %#x: %d", name, ways[i], got);
	}
	hostile_want(name, hostile_opendir(node, &fh), -ENOTDIR);
	hostile_want(name, hostile_name(FUSE_LOOKUP, node, "secret"), -ENOTDIR);
	if (hostile.readonly)
		return;
	hostile_want(name, truncate_node(node), error);
	hostile_want(name, create(node, "secret", O_RDWR), -ENOTDIR);
	hostile_want(name, hostile_name(FUSE_UNLINK, node, "victim"), -ENOTDIR);
	hostile_want(name, rename_to(node, "victim", HOSTILE_ROOT, "got", 0),
		     -ENOTDIR);
	hostile_want(name, rename_to(HOSTILE_ROOT, "f", node, "victim", 0),
		     -ENOTDIR);
	hostile_want(name,
		     make_link(hostile_lookup(HOSTILE_ROOT, "f"), node, "got"),
		     -ENOTDIR);
}

static int make_node(const char *name, uint32_t mode, uint32_t rdev)
{
	struct {
		struct fuse_mknod_in in;
		char name[32];
	} args = {.in = {.mode = mode, .rdev = rdev}};

	snprintf(args.name, sizeof(args.name), "%s", name);
	return hostile_call(FUSE_MKNOD, HOSTILE_ROOT, &args,
			    sizeof(args.in) + strlen(name) + 1);
}

static void devices_made(void)
{
	const uint32_t rdevs[] = {1, 0x103, 0x105, 0x700, 0x800, UINT32_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(rdevs); i++) {
		hostile_want("MKNOD of a character device",
			     make_node("made", S_IFCHR | 0666, rdevs[i]),
			     -EPERM);
		hostile_want("MKNOD of a block device",
			     make_node("made", S_IFBLK | 0666, rdevs[i]),
			     -EPERM);
	}
	hostile_want("MKNOD of a block device 0",
		     make_node("made", S_IFBLK | 0666, 0), -EPERM);
	hostile_want("MKNOD of a directory",
		     make_node("made", S_IFDIR | 0777, 0), -EPERM);
	hostile_want("MKNOD of a link", make_node("made", S_IFLNK | 0777, 0),
		     -EPERM);
	hostile_want("MKNOD of nothing", make_node("made", S_IFMT, 0), -EPERM);
	hostile_want("MKNOD of a FIFO", make_node("made", S_IFIFO | 0666, 0),
		     0);
	never_opened(HOSTILE_ROOT, "made", -ENXIO);
	hostile_want("MKNOD of a whiteout",
		     make_node("white", S_IFCHR | 0666, 0), 0);
	never_opened(HOSTILE_ROOT, "white", -ENXIO);
}

void group_kinds(void)
{
	static const char *const names[] = {"fifo", "sock", "zero", "disk"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		never_opened(HOSTILE_ROOT, names[i], -ENXIO);
	if (!hostile.readonly)
		devices_made();
}

/* Links. ------------------------------------------------------------------- */

static void hard_links(void)
{
	const struct fuse_entry_out *out = hostile_reply();
	const struct fuse_create_in in = {.flags = O_RDWR, .mode = 0600};
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "sec");

	hostile_want("LINK of a link", make_link(node, HOSTILE_ROOT, "hard"),
		     0);
	hostile_check(S_ISLNK(out->attr.mode), "it is no link: %o",
		      out->attr.mode);
	hostile_want("LINK of a directory",
		     make_link(hostile_lookup(HOSTILE_ROOT, "d"), HOSTILE_ROOT,
			       "hard2"),
		     -EPERM);
	hostile_want("LINK of the root",
		     make_link(HOSTILE_ROOT, HOSTILE_ROOT, "hard2"), -EPERM);
	hostile_want("LINK of a device",
		     make_link(hostile_lookup(HOSTILE_ROOT, "zero"),
			       HOSTILE_ROOT, "hard3"),
		     0);
	never_opened(HOSTILE_ROOT, "hard3", -ENXIO);
	if (hostile_call(FUSE_TMPFILE, HOSTILE_ROOT, &in, sizeof(in)) == 0)
		hostile_want("LINK of a file without a name",
			     make_link(out->nodeid, HOSTILE_ROOT, "named"), 0);
	hostile_want("RENAME into itself",
		     rename_to(HOSTILE_ROOT, "d",
			       hostile_lookup(HOSTILE_ROOT, "d"), "sub2", 0),
		     -EINVAL);
	for (uint32_t bit = 3; bit < 32; bit++)
		hostile_want("RENAME2 with other flags",
			     rename_to(HOSTILE_ROOT, "f", HOSTILE_ROOT, "file",
				       1u << bit),
			     -EINVAL);
}

static void symlinks(void)
{
	static const char *const targets[] = {
		"made\0/",	    "made\0../outside/secret",
		"made\0/proc/self", "made\0/proc/self/fd/3",
		"made\0.",	    "made\0/dev/zero",
	};
	uint64_t node;

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		hostile_want("SYMLINK",
			     hostile_call(FUSE_SYMLINK, HOSTILE_ROOT,
					  targets[i],
					  6 + strlen(targets[i] + 5)),
			     0);
		never_opened(HOSTILE_ROOT, "made", -ELOOP);
		node = hostile_lookup(HOSTILE_ROOT, "made");
		hostile_want("READLINK",
			     hostile_call(FUSE_READLINK, node, NULL, 0), 0);
		hostile_want("UNLINK",
			     hostile_name(FUSE_UNLINK, HOSTILE_ROOT, "made"),
			     0);
	}
}

void group_links(void)
{
	static const char *const names[] = {"up",    "rel", "self",
					    "fd",    "dot", ".swap",
					    ".file", "abs", "sec"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		never_opened(HOSTILE_ROOT, names[i], -ELOOP);
	if (hostile.readonly)
		return;
	hard_links();
	symlinks();
}

/* Mounts. ------------------------------------------------------------------ */

void group_mounts(void)
{
	struct fuse_copy_file_range_in copy = {.len = 64};
	uint64_t mnt = hostile_lookup(HOSTILE_ROOT, "mnt");
	uint64_t inner = mnt ? hostile_lookup(mnt, "inner") : 0;
	uint64_t file = hostile_lookup(HOSTILE_ROOT, "f");

	if (!inner) {
		hostile_skip("no mount, or no handles of its files");
		return;
	}
	hostile_want("up from a mount", hostile_name(FUSE_LOOKUP, mnt, ".."),
		     -EINVAL);
	if (hostile.readonly)
		return;
	hostile_want("LINK out of a mount",
		     make_link(inner, HOSTILE_ROOT, "out"), -EXDEV);
	hostile_want("LINK into a mount", make_link(file, mnt, "in"), -EXDEV);
	hostile_want("RENAME out of a mount",
		     rename_to(mnt, "inner", HOSTILE_ROOT, "out", 0), -EXDEV);
	hostile_want("RENAME into a mount",
		     rename_to(HOSTILE_ROOT, "f", mnt, "in", 0), -EXDEV);
	hostile_want("RENAME of a mount",
		     rename_to(HOSTILE_ROOT, "mnt", HOSTILE_ROOT, "m", 0),
		     -EBUSY);
	hostile_want("exchange of a mount",
		     rename_to(HOSTILE_ROOT, "mnt", HOSTILE_ROOT, "d", 2),
		     -EBUSY);
	hostile_want("RMDIR of a mount",
		     hostile_name(FUSE_RMDIR, HOSTILE_ROOT, "mnt"), -EBUSY);
	hostile_check(hostile_name(FUSE_UNLINK, HOSTILE_ROOT, "mnt") < 0,
		      "UNLINK of a mount");
	hostile_want("OPEN", hostile_open(inner, O_RDONLY, &copy.fh_in), 0);
	hostile_want("OPEN", hostile_open(file, O_RDWR, &copy.fh_out), 0);
	copy.nodeid_out = inner;
	hostile_want(
		"COPY to a handle of another node",
		hostile_call(FUSE_COPY_FILE_RANGE, inner, &copy, sizeof(copy)),
		-EBADF);
}

/* Links of procfs lead anywhere, by no path. */
void group_magic(void)
{
	static const char *const names[] = {"root", "cwd", "exe"};
	uint64_t proc = hostile_lookup(HOSTILE_ROOT, "proc");
	uint64_t fds, dir;
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", watch_host());
	dir = proc ? hostile_lookup(proc, pid) : 0;
	if (!dir) {
		hostile_skip("no procfs in the share, or no handles of it");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		uint64_t node = hostile_lookup(dir, names[i]);
		uint64_t fh;

		hostile_check(node, "LOOKUP %s", names[i]);
		hostile_want(names[i], hostile_open(node, O_RDONLY, &fh),
			     -ELOOP);
		hostile_want(names[i], hostile_opendir(node, &fh), -ENOTDIR);
		hostile_want(names[i], hostile_name(FUSE_LOOKUP, node, "etc"),
			     -ENOTDIR);
		hostile_check(make_link(node, HOSTILE_ROOT, "magic") < 0,
			      "LINK of %s", names[i]);
		hostile_check(truncate_node(node) < 0, "SETATTR of %s",
			      names[i]);
	}
	fds = hostile_lookup(dir, "fd");
	for (int fd = 0; fd < 16; fd++) {
		uint64_t node, fh;

		snprintf(pid, sizeof(pid), "%d", fd);
		node = hostile_lookup(fds, pid);
		hostile_check(!node || hostile_open(node, O_RDWR, &fh) < 0,
			      "OPEN of descriptor %d", fd);
		hostile_check(create(fds, pid, O_RDWR) < 0,
			      "CREATE of descriptor %d", fd);
		hostile_check(!node || make_link(node, HOSTILE_ROOT, "magic") <
					       0,
			      "LINK of descriptor %d", fd);
	}
}

/* Read-only. --------------------------------------------------------------- */

void group_readonly(void)
{
	const uint32_t uids[] = {0, 1000, REPLAY_UID};
	uint8_t buf[SHAPE_ROOM];
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "f");
	uint64_t fh;

	if (!hostile.readonly) {
		hostile_skip("the server is not read-only");
		return;
	}
	for (size_t u = 0; u < ARRAY_SIZE(uids); u++) {
		for (unsigned i = 0; i < shapes_n; i++) {
			struct hostile_request r = {
				.opcode = shapes[i].opcode,
				.node = i % 2 ? node : HOSTILE_ROOT,
				.uid = uids[u],
				.gid = uids[u] == REPLAY_UID ? REPLAY_GID : 0,
				.args = buf,
				.len = shape_fill(&shapes[i], buf, 1, "f"),
				.room = 4096,
			};
			int got;

			/* Those that are asked for end the session. */
			got = hostile_run(&r);
			hostile_check(!shapes[i].writes || got == -EROFS ||
					      uids[u] == REPLAY_UID,
				      "opcode %u by %u: %d", r.opcode, r.uid,
				      got);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		if (ways[i] & (O_ACCMODE | O_TRUNC))
			hostile_want("OPEN", hostile_open(node, ways[i], &fh),
				     -EROFS);
}
