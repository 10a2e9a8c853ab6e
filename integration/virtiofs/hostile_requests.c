/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_groups.h"
#include "integration/virtiofs/hostile_shape.h"

static bool is_xattr(uint32_t opcode)
{
	return opcode == FUSE_SETXATTR || opcode == FUSE_GETXATTR ||
	       opcode == FUSE_REMOVEXATTR;
}

static int run_shape(const struct shape *shape, uint64_t node, uint64_t handle,
		     const char *name)
{
	uint8_t buf[SHAPE_ROOM];
	size_t len = shape_fill(shape, buf, handle, name);

	return hostile_call(shape->opcode, node, buf, len);
}

/* A refusal that says what is wrong, or that nothing may change at all. */
static void refused(const struct shape *shape, const char *what, int got,
		    int wanted)
{
	bool good = got == wanted;

	if (shape->writes && hostile.readonly)
		good |= got == -EROFS;
	if (shape->unknown)
		good |= got == -ENOSYS || got == -ENOTTY;
	hostile_check(good, "opcode %u, %s: got %d, wanted %d", shape->opcode,
		      what, got, wanted);
}

static int init_with(uint32_t major, uint32_t minor, size_t len)
{
	const struct fuse_init_in in = {
		.major = major,
		.minor = minor,
		.max_readahead = UINT32_MAX,
		.flags = UINT32_MAX,
		.flags2 = UINT32_MAX,
	};

	return hostile_call(FUSE_INIT, hostile_draw(UINT64_MAX), &in, len);
}

void group_session(void)
{
	const struct fuse_init_out *out = hostile_reply();
	const size_t len = sizeof(struct fuse_init_in);

	hostile_want("INIT twice", init_with(7, 38, len), 0);
	hostile_destroy();
	hostile_want("DESTROY twice", hostile_call(FUSE_DESTROY, 7, "", 0), 0);
	for (unsigned i = 0; i < shapes_n; i++) {
		int got = run_shape(&shapes[i], HOSTILE_ROOT, 1, "f");

		hostile_check(shapes[i].no_node || got == -EIO ||
				      (shapes[i].unknown && got == -ENOSYS),
			      "opcode %u before INIT: %d", shapes[i].opcode,
			      got);
	}
	hostile_want("version 0.0", init_with(0, 0, len), -EPROTO);
	hostile_want("version 6.38", init_with(6, 38, len), -EPROTO);
	hostile_want("version 7.30", init_with(7, 30, len), -EPROTO);
	hostile_want("version 8.0", init_with(8, 0, len), 0);
	hostile_check(out->major == 7, "major version %u", out->major);
	hostile_want("version 2^32", init_with(UINT32_MAX, UINT32_MAX, len), 0);
	hostile_want("too short", init_with(7, 38, 8), -EINVAL);
	hostile_want("far too short", init_with(7, 38, 4), -EINVAL);
	hostile_want("no session yet",
		     hostile_name(FUSE_LOOKUP, HOSTILE_ROOT, "f"), -EIO);
	hostile_want("version 7.2^32", init_with(7, UINT32_MAX, len), 0);
	hostile_check(out->max_write <= 1u << 20, "writes of %u bytes",
		      out->max_write);
}

/* Names. ------------------------------------------------------------------- */

static void bad_name(const struct shape *shape, const char *name, int wanted)
{
	uint8_t buf[SHAPE_ROOM];
	size_t len = shape_fill(shape, buf, 1, name);
	size_t first = shape->fixed + 2;
	size_t n = strlen(name) + 1;

	refused(shape, name,
		hostile_call(shape->opcode, HOSTILE_ROOT, buf, len), wanted);
	if (shape->names < 2 || shape->opcode == FUSE_SYMLINK ||
	    first + n > SHAPE_ROOM)
		return;
	memcpy(buf + shape->fixed, "f", 2);
	memcpy(buf + first, name, n);
	refused(shape, name,
		hostile_call(shape->opcode, HOSTILE_ROOT, buf, first + n),
		wanted);
}

void group_names(void)
{
	static const char *const bad[] = {
		"",
		".",
		"..",
		"/",
		"//",
		"/etc/passwd",
		"../",
		"d/f",
		"d/../..",
		"../outside",
		"up/outside/secret",
		"f/",
		"./f",
		"d/sub/../../../outside/secret",
	};
	static char name[90000];
	uint8_t buf[SHAPE_ROOM];

	for (unsigned i = 0; i < shapes_n; i++) {
		const struct shape *shape = &shapes[i];

		if (!shape->names || is_xattr(shape->opcode) ||
		    shape->opcode == FUSE_TMPFILE)
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(bad); j++)
			bad_name(shape, bad[j], -EINVAL);
		memset(name, 'n', sizeof(name));
		name[256] = 0;
		bad_name(shape, name, -ENAMETOOLONG);
		/* Without its end, and without any. */
		refused(shape, "no end",
			hostile_call(shape->opcode, HOSTILE_ROOT, buf,
				     shape_fill(shape, buf, 1, "name") - 1),
			-EINVAL);
		refused(shape, "no name",
			hostile_call(shape->opcode, HOSTILE_ROOT, buf,
				     shape->fixed),
			-EINVAL);
	}
	memset(name, 'n', sizeof(name));
	name[70000] = 0;
	hostile_want("70000 bytes",
		     hostile_name(FUSE_LOOKUP, HOSTILE_ROOT, name),
		     -ENAMETOOLONG);
	hostile_want(
		"90000 bytes",
		hostile_call(FUSE_LOOKUP, HOSTILE_ROOT, name, sizeof(name)),
		-E2BIG);
}

/* Nodes. ------------------------------------------------------------------- */

static void inner_nodes(uint64_t node)
{
	struct fuse_rename2_in rename = {.newdir = node};
	struct fuse_link_in link = {.oldnodeid = node};
	uint8_t buf[64] = {0};
	int wanted = hostile.readonly ? -EROFS : -ESTALE;

	memcpy(buf, &link, sizeof(link));
	memcpy(buf + sizeof(link), "new", 4);
	hostile_want(
		"LINK of a forged node",
		hostile_call(FUSE_LINK, HOSTILE_ROOT, buf, sizeof(link) + 4),
		wanted);
	memcpy(buf, &rename, sizeof(rename));
	memcpy(buf + sizeof(rename), "f\0g", 4);
	hostile_want("RENAME2 to a forged node",
		     hostile_call(FUSE_RENAME2, HOSTILE_ROOT, buf,
				  sizeof(rename) + 4),
		     wanted);
	memcpy(buf + sizeof(struct fuse_rename_in), "f\0g", 4);
	hostile_want("RENAME to a forged node",
		     hostile_call(FUSE_RENAME, HOSTILE_ROOT, buf,
				  sizeof(struct fuse_rename_in) + 4),
		     wanted);
}

void group_nodes(void)
{
	uint64_t stale = hostile_lookup(HOSTILE_ROOT, "f");
	const uint64_t forged[] = {
		0,
		stale,
		stale + 1,
		stale | 7ull << 32,
		FUSE_ROOT_ID | 1ull << 32,
		INT64_MAX,
		1ull << 63 | 1,
		UINT32_MAX,
		1ull << 32,
		UINT64_MAX - 1,
		UINT64_MAX,
	};

	hostile_check(stale > FUSE_ROOT_ID, "LOOKUP f");
	hostile_forget(stale, 1);
	for (size_t j = 0; j < ARRAY_SIZE(forged); j++) {
		for (unsigned i = 0; i < shapes_n; i++) {
			int got = run_shape(&shapes[i], forged[j], 1, "f");

			if (!shapes[i].no_node)
				refused(&shapes[i], "forged node", got,
					-ESTALE);
		}
		inner_nodes(forged[j]);
	}
}

/* Handles. ----------------------------------------------------------------- */

void group_handles(void)
{
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "f");
	uint64_t other = hostile_lookup(HOSTILE_ROOT, "alive");
	uint64_t file, stale, others, dir;

	hostile_want("OPEN", hostile_open(node, O_RDONLY, &stale), 0);
	hostile_release(node, stale);
	hostile_want("OPEN", hostile_open(node, O_RDONLY, &file), 0);
	hostile_want("OPEN", hostile_open(other, O_RDONLY, &others), 0);
	hostile_want("OPENDIR", hostile_opendir(HOSTILE_ROOT, &dir), 0);
	const uint64_t forged[] = {
		0,	    stale,  file + 100, file | 9ull << 40,
		1ull << 32, others, UINT64_MAX, INT64_MAX,
	};

	for (unsigned i = 0; i < shapes_n; i++) {
		const struct shape *shape = &shapes[i];

		if (!shape->handle)
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(forged); j++)
			refused(shape, "forged handle",
				run_shape(shape,
					  shape->dir ? HOSTILE_ROOT : node,
					  forged[j], ""),
				-EBADF);
		refused(shape, "of the other kind",
			run_shape(shape, shape->dir ? node : HOSTILE_ROOT,
				  shape->dir ? file : dir, ""),
			-EBADF);
		refused(shape, "of another node",
			run_shape(shape, other, shape->dir ? dir : file, ""),
			-EBADF);
	}
	hostile_want("the handle", hostile_read(node, file, 0, 9), 0);
}

/* Lengths. ----------------------------------------------------------------- */

/* The request says that it is `says` bytes long; it has len after the header.
 */
static int says(uint32_t opcode, uint32_t says_len, const void *args,
		size_t len, uint16_t extra)
{
	const struct fuse_in_header head = {
		.len = says_len,
		.opcode = opcode,
		.nodeid = HOSTILE_ROOT,
		.total_extlen = extra,
	};
	const uint64_t out = HOSTILE_OWN + (1u << 20);
	const struct link_seg segs[] = {
		{HOSTILE_OWN, (uint32_t)(sizeof(head) + len), false},
		{out, 65536, true},
	};

	memcpy(link_memory + HOSTILE_OWN, &head, sizeof(head));
	memcpy(link_memory + HOSTILE_OWN + sizeof(head), args, len);
	return hostile_raw(LINK_REQUESTS, segs, 2, out);
}

static void header_lengths(const struct shape *shape)
{
	const uint32_t head = sizeof(struct fuse_in_header);
	uint8_t buf[SHAPE_ROOM];
	size_t len = shape_fill(shape, buf, 0, "no such name");
	const uint32_t lens[] = {
		0, 1, head - 1, head + (uint32_t)len + 1, INT32_MAX, UINT32_MAX,
	};
	bool silent = shape->no_node;

	for (size_t i = 0; i < ARRAY_SIZE(lens); i++)
		hostile_check(
			says(shape->opcode, lens[i], buf, len, 0) ==
				(silent ? 0
				 : shape->unknown && shape->opcode != FUSE_IOCTL
					 ? -ENOSYS
					 : -EINVAL),
			"opcode %u of %u bytes", shape->opcode, lens[i]);
	hostile_check(silent || says(shape->opcode, head + (uint32_t)len, buf,
				     len, UINT16_MAX) < 0,
		      "opcode %u with extensions beyond its end",
		      shape->opcode);
	for (uint32_t n = 0; n < shape->fixed; n++)
		hostile_check(says(shape->opcode, head + n, buf, n, 0) < 0 ||
				      silent,
			      "opcode %u cut after %u bytes", shape->opcode, n);
}

static void extensions(void)
{
	struct {
		struct fuse_mkdir_in in;
		char name[8];
		uint32_t header[2];
		uint32_t groups[2];
	} args = {.in.mode = 0755, .name = "f"};
	const uint32_t sizes[] = {0, 1, 7, 17, 24, UINT32_MAX, UINT32_MAX - 7};
	const uint32_t len = sizeof(struct fuse_in_header) + sizeof(args);
	int wanted = hostile.readonly ? -EROFS : -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		args.header[0] = sizes[i];
		args.header[1] = 34;
		hostile_want("an extension's size",
			     says(FUSE_MKDIR, len, &args, sizeof(args), 2),
			     sizes[i] == 0 || hostile.readonly ? -EINVAL
							       : wanted);
	}
	/* A million groups in room for one. */
	args.header[0] = 16;
	args.groups[0] = 1000000;
	wanted = hostile.readonly ? -EROFS : -EEXIST;
	hostile_want("groups", says(FUSE_MKDIR, len, &args, sizeof(args), 2),
		     wanted);
}

/* Fields that say how much there is, or how much is wanted. */
static void fields(void)
{
	const uint32_t sizes[] = {
		0,	   1, 23, 4095, 1u << 20, INT32_MAX, UINT32_MAX - 40,
		UINT32_MAX};
	uint64_t node = hostile_lookup(HOSTILE_ROOT, "d");
	uint64_t file = hostile_lookup(HOSTILE_ROOT, "alive");
	uint64_t written = hostile_lookup(HOSTILE_ROOT, "f");
	uint64_t dir, fh, to;
	int got;

	hostile_want("OPENDIR", hostile_opendir(node, &dir), 0);
	hostile_want("OPEN", hostile_open(file, O_RDONLY, &fh), 0);
	hostile_want("OPEN to write", hostile_open(written, O_RDWR, &to),
		     hostile.readonly ? -EROFS : 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct fuse_read_in read = {.fh = dir, .size = sizes[i]};
		struct fuse_write_in write = {.fh = to, .size = sizes[i]};
		struct fuse_getxattr_in get = {.size = sizes[i]};
		struct fuse_setxattr_in set[2] = {{.size = sizes[i]}};
		struct fuse_batch_forget_in forget = {.count = sizes[i]};

		hostile_call(FUSE_READDIR, node, &read, sizeof(read));
		hostile_call(FUSE_READDIRPLUS, node, &read, sizeof(read));
		read.fh = fh;
		hostile_want("READ",
			     hostile_call(FUSE_READ, file, &read, sizeof(read)),
			     0);
		hostile_check(hostile.reply_len <= sizes[i] &&
				      hostile.reply_len <= 14,
			      "READ of %u: %u bytes", sizes[i],
			      hostile.reply_len);
		got = hostile_call(FUSE_WRITE, written, &write, sizeof(write));
		hostile_check(
			hostile.readonly ? got < 0
					 : got == (sizes[i] ? -EINVAL : 0),
			"WRITE of %u that are not there: %d", sizes[i], got);
		hostile_call(FUSE_LISTXATTR, file, &get, sizeof(get));
		memcpy(set + 1, "user.x", 7);
		if (sizes[i] > 9)
			hostile_check(hostile_call(FUSE_SETXATTR, file, set,
						   sizeof(set)) < 0,
				      "SETXATTR of %u that are not there",
				      sizes[i]);
		hostile_call(FUSE_BATCH_FORGET, 0, &forget, sizeof(forget));
		hostile_check(hostile_call(FUSE_REMOVEMAPPING, file, &sizes[i],
					   4) <= 0,
			      "REMOVEMAPPING");
	}
}

void group_lengths(void)
{
	for (unsigned i = 0; i < shapes_n; i++)
		header_lengths(&shapes[i]);
	extensions();
	fields();
}
