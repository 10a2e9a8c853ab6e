/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the options of a virtio-fs server come to, for a guest that offers what
 * they are about:
 *
 *	effects SOCKET
 *
 * Lines, in this order, of the shared tree, whose root has "file" and "below",
 * which may be a mount and has "file" as well:
 *
 *	session: the names of what was agreed
 *	mount: whether "below" is told as one
 *	entry: for how many seconds the name and attributes of below/file hold
 *	open: what the server says of the cache for "file"
 *	noatime: "file" was read with O_NOATIME, one byte
 *	user.effects: the answer to setting that attribute to "x"
 *	security.capability: the same, with a capability
 */

#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "integration/bench/measure.h"
#include "integration/virtiofs/frontend.h"

static const struct feature {
	const char *name;
	uint32_t flag;
} features[] = {
	{"writeback", FUSE_WRITEBACK_CACHE},
	{"acl", FUSE_POSIX_ACL},
	{"readdirplus", FUSE_DO_READDIRPLUS},
	{"submounts", FUSE_SUBMOUNTS},
	{"killpriv", FUSE_HANDLE_KILLPRIV_V2},
	{"auto-inval", FUSE_AUTO_INVAL_DATA},
};

static struct frontend *fe;

/* The session that the front-end began offers less. */
static void begin_again(void)
{
	const struct request destroy = {.opcode = FUSE_DESTROY};
	struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.flags = FUSE_DONT_MASK | FUSE_READDIRPLUS_AUTO,
	};
	const struct request init = {
		.opcode = FUSE_INIT,
		.args = &in,
		.args_len = sizeof(in),
		.room = sizeof(struct fuse_init_out),
	};
	const struct fuse_init_out *out;

	for (size_t i = 0; i < ARRAY_SIZE(features); i++)
		in.flags |= features[i].flag;
	frontend_call(fe, &destroy);
	out = frontend_call(fe, &init);
	printf("session:");
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (out->flags & features[i].flag)
			printf(" %s", features[i].name);
	}
	printf("\n");
}

static struct fuse_entry_out lookup(uint64_t dir, const char *name)
{
	const struct request r = {
		.opcode = FUSE_LOOKUP,
		.node = dir,
		.args = name,
		.args_len = strlen(name) + 1,
		.room = sizeof(struct fuse_entry_out),
	};

	return *(const struct fuse_entry_out *)frontend_call(fe, &r);
}

static const struct fuse_open_out *open_node(uint64_t node, uint32_t flags)
{
	const struct fuse_open_in in = {.flags = flags};
	const struct request r = {
		.opcode = FUSE_OPEN,
		.node = node,
		.args = &in,
		.args_len = sizeof(in),
		.room = sizeof(struct fuse_open_out),
	};

	return frontend_call(fe, &r);
}

static void read_byte(uint64_t node, uint64_t fh)
{
	const struct fuse_read_in in = {.fh = fh, .size = 1};
	const struct request r = {
		.opcode = FUSE_READ,
		.node = node,
		.args = &in,
		.args_len = sizeof(in),
		.data_room = 1,
	};

	frontend_call(fe, &r);
}

static void say_answer(const char *name, int error)
{
	printf("%s: %s\n", name, error ? strerrorname_np(-error) : "0");
}

static void set_attribute(uint64_t node, const char *name, const void *value,
			  size_t size)
{
	struct {
		char in[FUSE_COMPAT_SETXATTR_IN_SIZE];
		char rest[64];
	} args = {0};
	const struct fuse_setxattr_in in = {.size = (uint32_t)size};
	struct request r = {
		.opcode = FUSE_SETXATTR,
		.node = node,
		.args = &args,
	};
	size_t len = strlen(name) + 1;
	int error;

	memcpy(args.in, &in, sizeof(args.in));
	memcpy(args.rest, name, len);
	memcpy(args.rest + len, value, size);
	r.args_len = sizeof(args.in) + len + size;
	frontend_add(fe, 0, &r);
	frontend_kick(fe);
	frontend_next(fe, &error);
	say_answer(name, error);
}

int main(int argc, char **argv)
{
	const struct vfs_cap_data caps = {
		.magic_etc = VFS_CAP_REVISION_2,
		.data[0].permitted = 1u << CAP_NET_RAW,
	};
	struct fuse_entry_out below, file;
	struct fuse_open_out out;

	if (argc != 2) {
		fprintf(stderr, "usage: effects SOCKET\n");
		return 2;
	}
	fe = frontend_open(argv[1]);
	begin_again();
	below = lookup(FUSE_ROOT_ID, "below");
	printf("mount: %s\n",
	       below.attr.flags & FUSE_ATTR_SUBMOUNT ? "yes" : "no");
	file = lookup(below.nodeid, "file");
	printf("entry: %llu %llu\n", (unsigned long long)file.entry_valid,
	       (unsigned long long)file.attr_valid);
	file = lookup(FUSE_ROOT_ID, "file");
	out = *open_node(file.nodeid, O_RDONLY | O_NOATIME);
	printf("open:%s%s\n", out.open_flags & FOPEN_KEEP_CACHE ? " keep" : "",
	       out.open_flags & FOPEN_DIRECT_IO ? " direct" : "");
	read_byte(file.nodeid, out.fh);
	printf("noatime: read\n");
	set_attribute(file.nodeid, "user.effects", "x", 1);
	set_attribute(file.nodeid, "security.capability", &caps, sizeof(caps));
	return 0;
}
