/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Leases. FUSE has no request for one: they are the guest's kernel's, for all
 * of the guest.
 */

#include "integration/virtiofs/conform.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define USER 1000
#define OTHER 2000

static int set_lease(int fd, int type)
{
	return fcntl(fd, F_SETLEASE, type);
}

struct opening {
	int flags;
};

static int opening_run(void *arg)
{
	const struct opening *o = arg;

	return open("f", o->flags | O_NONBLOCK) < 0 ? errno : 0;
}

static void lease_breaks(struct trial *t, int fd)
{
	struct opening reads = {O_RDONLY};
	struct opening writes = {O_WRONLY};

	ret(t, "lease", fcntl(fd, F_GETLEASE));
	note_child(t, "open to read", in_child(opening_run, &reads));
	ret(t, "lease", fcntl(fd, F_GETLEASE));
	note_child(t, "open to write", in_child(opening_run, &writes));
	ret(t, "lease", fcntl(fd, F_GETLEASE));
	ret(t, "give up", set_lease(fd, F_UNLCK));
	note_child(t, "open to write", in_child(opening_run, &writes));
	ret(t, "lease", fcntl(fd, F_GETLEASE));
}

/* Of each type, on a file opened in each mode, beside another descriptor, as
 * root, as the owner and as somebody else. */
static void lease_run(struct trial *t, unsigned i)
{
	static const int modes[] = {O_RDONLY, O_WRONLY, O_RDWR};
	static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK};
	static const int others[] = {-1, O_RDONLY, O_WRONLY};
	static const uid_t users[] = {0, USER, OTHER};
	int mode = modes[i % 3];
	int type = types[i / 3 % 3];
	int other = others[i / 9 % 3];
	uid_t user = users[i / 27];
	int fds[2] = {-1, -1};

	label(t, "mode %d, type %d, other %d, user %u", mode, type, other,
	      user);
	/* Who has a lease is told of it by this. */
	signal(SIGIO, SIG_IGN);
	put(t, "f", "hello", 0666);
	ret(t, "chown", chown("f", USER, USER));
	fds[0] = fd_ret(t, "open", open("f", mode));
	if (other >= 0)
		fds[1] = fd_ret(t, "open", open("f", other));
	if (geteuid() == 0 && seteuid(user) == 0) {
		ret(t, "set", set_lease(fds[0], type));
		if (seteuid(0))
			abort();
		lease_breaks(t, fds[0]);
	}
	close(fds[0]);
	if (fds[1] >= 0)
		close(fds[1]);
	signal(SIGIO, SIG_DFL);
}

static void lease_of_run(struct trial *t, unsigned i)
{
	static const unsigned kinds[] = {KIND_DIR, KIND_FILE};
	static const int types[] = {F_RDLCK, F_WRLCK, F_UNLCK, 77};
	unsigned kind = kinds[i / 4];
	int fd;

	label(t, "%s, type %d", kind_name(kind), types[i % 4]);
	make(t, "f", kind);
	fd = fd_ret(t, "open", open("f", O_RDONLY));
	/* Of a directory, Linux 6.19 and later know leases. */
	if (kind == KIND_FILE || types[i % 4] == 77)
		ret(t, "set", set_lease(fd, types[i % 4]));
	ret(t, "get", fcntl(fd, F_GETLEASE));
	close(fd);
	fd = fd_ret(t, "open", open("f", O_PATH));
	ret(t, "set", set_lease(fd, types[i % 4]));
	close(fd);
}

const struct case_group conform_leases_groups[] = {
	{"lease", 81, lease_run},
	{"lease of", 8, lease_of_run},
	{NULL, 0, NULL},
};
