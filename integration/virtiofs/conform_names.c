/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static void rename_run(struct trial *t, unsigned i)
{
	static const unsigned flags[] = {0, RENAME_NOREPLACE, RENAME_EXCHANGE};
	unsigned from = i % KINDS;
	unsigned to = i / KINDS % KINDS;
	unsigned f = i / KINDS / KINDS;

	label(t, "%s to %s, flags %u", kind_name(from), kind_name(to),
	      flags[f]);
	make(t, "a", from);
	make(t, "b", to);
	ret(t, "rename", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", flags[f]));
	look(t, "a");
	look(t, "b");
	list(t, ".");
	list(t, "b");
}

/* What has gone leaves a device that an overlayfs knows. */
static void whiteout_run(struct trial *t, unsigned i)
{
	static const unsigned over[] = {KIND_NONE, KIND_FILE, KIND_DIR,
					KIND_FULL_DIR};
	unsigned from = i % KINDS;
	unsigned to = over[i / KINDS];

	label(t, "%s to %s", kind_name(from), kind_name(to));
	make(t, "a", from);
	make(t, "b", to);
	ret(t, "rename",
	    renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT));
	look(t, "a");
	look(t, "b");
	list(t, ".");
	ret(t, "over it", rename("b", "a"));
	look(t, "a");
	ret(t, "again",
	    renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT));
	ret(t, "unlink", unlink("a"));
	list(t, ".");
}

/* Sets of flags, and unknown ones; onto itself, and of nothing. */
static void rename_flags_run(struct trial *t, unsigned i)
{
	static const unsigned flags[] = {
		RENAME_NOREPLACE,
		RENAME_EXCHANGE,
		RENAME_WHITEOUT,
		RENAME_NOREPLACE | RENAME_WHITEOUT,
		RENAME_NOREPLACE | RENAME_EXCHANGE,
		RENAME_WHITEOUT | RENAME_EXCHANGE,
		8,
		1u << 31,
	};
	static const char *const pairs[][2] = {
		{"a", "b"},   {"a", "new"}, {"a", "a"},	  {"d", "d/e"},
		{"d/e", "d"}, {"no", "a"},  {"a", "d/f"}, {"no", "none"}};
	const char *const *pair = pairs[i % 8];

	label(t, "%s to %s, flags %x", pair[0], pair[1], flags[i / 8]);
	put(t, "a", "hello", 0644);
	put(t, "b", "other", 0600);
	mkdir("d", 0755);
	mkdir("d/e", 0755);
	ret(t, "rename",
	    renameat2(AT_FDCWD, pair[0], AT_FDCWD, pair[1], flags[i / 8]));
	list(t, ".");
	list(t, "d");
	look(t, "a");
	look(t, "b");
}

static void rename_more_run(struct trial *t, unsigned i)
{
	static const char *const pairs[][2] = {
		{"d", "d/e/x"}, {"d", "d/x"},  {"d/e", "d"},	{"f", "hard"},
		{"f", "f"},	{"d", "d"},    {"f", "d/e/f"},	{"d/e", "e"},
		{"f", "no/f"},	{"no", "f"},   {"f/x", "g"},	{"f", "g/"},
		{"d", "g/"},	{"d/", "g"},   {".", "g"},	{"d/.", "g"},
		{"d/..", "g"},	{"f", "."},    {"d", "d/e/.."}, {"s", "s2"},
		{"f", "s"},	{"s/e", "e2"},
	};

	label(t, "%s to %s", pairs[i][0], pairs[i][1]);
	put(t, "f", "hello", 0644);
	mkdir("d", 0755);
	mkdir("d/e", 0755);
	ret(t, "link", link("f", "hard"));
	ret(t, "symlink", symlink("d", "s"));
	ret(t, "rename", rename(pairs[i][0], pairs[i][1]));
	list(t, ".");
	list(t, "d");
	look(t, "d");
	look(t, "f");
	look(t, "hard");
}

static void link_run(struct trial *t, unsigned i)
{
	unsigned from = i % KINDS;
	unsigned to = i / KINDS % KINDS;
	int flags = i / KINDS / KINDS ? AT_SYMLINK_FOLLOW : 0;

	label(t, "%s as %s%s", kind_name(from), kind_name(to),
	      flags ? ", followed" : "");
	make(t, "a", from);
	make(t, "b", to);
	ret(t, "link", linkat(AT_FDCWD, "a", AT_FDCWD, "b", flags));
	look(t, "a");
	look(t, "a.target");
	look(t, "b");
	ret(t, "unlink", unlink("a"));
	look(t, "b");
}

static void remove_run(struct trial *t, unsigned i)
{
	unsigned kind = i % KINDS;
	bool rm = i >= KINDS;

	label(t, "%s %s", rm ? "rmdir" : "unlink", kind_name(kind));
	make(t, "a", kind);
	ret(t, "remove", rm ? rmdir("a") : unlink("a"));
	look(t, "a");
	look(t, "a.target");
	list(t, ".");
	look(t, ".");
}

/* Creation where something is. */
static void exists_run(struct trial *t, unsigned i)
{
	unsigned kind = i;

	label(t, "create over %s", kind_name(kind));
	make(t, "a", kind);
	ret(t, "mkdir", mkdir("a", 0755));
	ret(t, "mkfifo", mkfifo("a", 0644));
	ret(t, "symlink", symlink("x", "a"));
	ret(t, "mknod", mknod("a", S_IFSOCK | 0644, 0));
	look(t, "a");
	list(t, ".");
}

static void long_name_run(struct trial *t, unsigned i)
{
	static const size_t lens[] = {1, 2, 100, 254, 255, 256, 300, 1000};
	char name[1001];
	char other[1001];
	int fd;

	label(t, "name of %zu bytes", lens[i]);
	memset(name, 'n', lens[i]);
	name[lens[i]] = 0;
	memcpy(other, name, lens[i] + 1);
	other[0] = 'o';
	fd = fd_ret(t, "create", open(name, O_WRONLY | O_CREAT, 0644));
	if (fd >= 0)
		close(fd);
	ret(t, "rename", rename(name, other));
	ret(t, "link", link(other, name));
	ret(t, "unlink", unlink(name));
	ret(t, "unlink", unlink(other));
	ret(t, "mkdir", mkdir(name, 0755));
	ret(t, "rmdir", rmdir(name));
	ret(t, "symlink", symlink("x", name));
	look(t, name);
}

static void odd_name_run(struct trial *t, unsigned i)
{
	static const char *const names[] = {
		" ",	"...",	"-",	"\n",	    "\x80\xff",	     "a b",
		"\\",	"*",	"\x01", "\xc3\xa4", ".hidden",	     "..x",
		"x..",	"x.",	"\t",	"\"'`",	    "com1",	     "A",
		"case", "Case", "a:b",	"%s",	    ".fuse_hidden1", "~",
	};

	label(t, "name %u", i);
	put(t, names[i], "hello", 0644);
	content(t, names[i]);
	list(t, ".");
	ret(t, "unlink", unlink(names[i]));
	list(t, ".");
}

static void symlink_run(struct trial *t, unsigned i)
{
	static const size_t lens[] = {0,    1,	  59,	60,  100,
				      1023, 4094, 4095, 4096};
	char target[4097];
	char buf[5000];
	ssize_t n;

	label(t, "target of %zu bytes", lens[i]);
	memset(target, 'x', lens[i]);
	target[lens[i]] = 0;
	ret(t, "symlink", symlink(target, "s"));
	look(t, "s");
	n = ret(t, "readlink", readlink("s", buf, sizeof(buf)));
	if (n > 0)
		note(t, "same: %d",
		     (size_t)n == lens[i] && !memcmp(buf, target, lens[i]));
	ret(t, "readlink short", readlink("s", buf, 10));
	ret(t, "open", open("s", O_RDONLY));
	ret(t, "chown", lchown("s", 0, 0));
}

static void nested_links_run(struct trial *t, unsigned i)
{
	char name[16];
	char to[16];

	label(t, "%u links", i * 10 + 1);
	put(t, "l0", "hello", 0644);
	for (unsigned k = 1; k <= i * 10 + 1; k++) {
		snprintf(name, sizeof(name), "l%u", k);
		snprintf(to, sizeof(to), "l%u", k - 1);
		if (symlink(to, name))
			ret(t, "symlink", -1);
	}
	fd_ret(t, "open", open(name, O_RDONLY));
}

static void mknod_run(struct trial *t, unsigned i)
{
	static const mode_t types[] = {0,	 S_IFREG, S_IFIFO,
				       S_IFSOCK, S_IFDIR, S_IFLNK};

	label(t, "type %o", types[i]);
	ret(t, "mknod", mknod("n", types[i] | 0640, 0));
	look(t, "n");
}

/* Many names: none is lost, none comes twice, while others come and go. */
static void many_run(struct trial *t, unsigned i)
{
	static const unsigned counts[] = {1, 10, 100, 500, 1000};
	char name[64];

	label(t, "%u names", counts[i]);
	for (unsigned k = 0; k < counts[i]; k++) {
		snprintf(name, sizeof(name), "a-rather-long-name-%u", k);
		if (k % 3 == 0 ? mkdir(name, 0755) : mkfifo(name, 0644))
			ret(t, "make", -1);
	}
	list(t, ".");
	look(t, ".");
	for (unsigned k = 0; k < counts[i]; k += 2) {
		snprintf(name, sizeof(name), "a-rather-long-name-%u", k);
		if (k % 3 == 0 ? rmdir(name) : unlink(name))
			ret(t, "remove", -1);
	}
	list(t, ".");
	look(t, ".");
}

static void deep_run(struct trial *t, unsigned i)
{
	unsigned depth = 1u << (i + 1);
	unsigned n;

	label(t, "depth %u", depth);
	for (n = 0; n < depth && mkdir("d", 0755) == 0; n++) {
		if (chdir("d"))
			break;
	}
	note(t, "%u", n);
	put(t, "f", "deep", 0644);
	look(t, "f");
	for (; n > 0; n--) {
		if (chdir(".."))
			ret(t, "up", -1);
	}
	list(t, ".");
	list(t, "d/d");
}

const struct case_group conform_names_groups[] = {
	{"rename", KINDS *KINDS * 3, rename_run},
	{"rename more", 22, rename_more_run},
	{"rename whiteout", KINDS * 4, whiteout_run},
	{"rename flags", 64, rename_flags_run},
	{"link", KINDS *KINDS * 2, link_run},
	{"remove", KINDS * 2, remove_run},
	{"exists", KINDS, exists_run},
	{"long name", 8, long_name_run},
	{"odd name", 24, odd_name_run},
	{"symlink", 9, symlink_run},
	{"nested links", 5, nested_links_run},
	{"mknod", 6, mknod_run},
	{"many", 5, many_run},
	{"deep", 5, deep_run},
	{NULL, 0, NULL},
};
