/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

#include "base/cleanup.h"

int netns_open(const char *path, struct err *err)
{
	AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct statfs fs;

	if (fd < 0)
		return err_sys(err, "network namespace %s", path);
	if (fstatfs(fd, &fs) < 0)
		return err_sys(err, "network namespace %s", path);
	if (fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(err, EINVAL, "%s: not a network namespace",
			       path);
	return steal_fd(&fd);
}

static bool same_file(int fd, const char *path)
{
	struct stat a;
	struct stat b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int netns_check_foreign(int fd, const char *path, struct err *err)
{
	if (same_file(fd, "/proc/self/ns/net") ||
	    same_file(fd, "/proc/1/ns/net"))
		return err_set(err, EINVAL,
			       "network namespace %s: is the host's own, whose "
			       "interfaces a sandbox cannot take",
			       path);
	return 0;
}

struct entry {
	int fd;
	struct netns_job *job;
	struct err *err;
	int result;
};

static int run_job(const struct entry *e)
{
	struct nl_sock *sock = nl_socket_alloc();
	int r;

	if (!sock)
		return err_set(e->err, ENOMEM, "netlink: out of memory");
	r = nl_connect(sock, NETLINK_ROUTE);
	if (r < 0)
		r = netns_nl_error(e->err, r, "netlink");
	else
		r = e->job->run(e->job, sock, e->err);
	nl_socket_free(sock);
	return r;
}

static void *entry_thread(void *arg)
{
	struct entry *e = arg;
	/*
	 * With a root and a directory of its own: the kernel gives back those
	 * of a thread after pthread_join() returns, and setns() to a mount
	 * namespace fails for whoever shares them.
	 */
	int r = unshare(CLONE_FS);

	if (!r)
		r = e->fd < 0 ? unshare(CLONE_NEWNET)
			      : setns(e->fd, CLONE_NEWNET);
	if (r < 0)
		e->result =
			err_sys(e->err, "%s", e->fd < 0 ? "unshare" : "setns");
	else
		e->result = run_job(e);
	return NULL;
}

int netns_enter(int fd, struct netns_job *job, struct err *err)
{
	struct entry e = {.fd = fd, .job = job, .err = err};
	pthread_t thread;
	int r = pthread_create(&thread, NULL, entry_thread, &e);

	if (r)
		return err_ret(err, -r, "thread");
	pthread_join(thread, NULL);
	return e.result;
}

int netns_nl_errno(int nl_error)
{
	switch (nl_error < 0 ? -nl_error : nl_error) {
	case NLE_EXIST:
		return EEXIST;
	case NLE_NOMEM:
		return ENOMEM;
	case NLE_OBJ_NOTFOUND:
		return ENOENT;
	case NLE_PERM:
	case NLE_NOACCESS:
		return EPERM;
	case NLE_BUSY:
		return EBUSY;
	case NLE_NODEV:
		return ENODEV;
	case NLE_OPNOTSUPP:
		return EOPNOTSUPP;
	case NLE_INVAL:
		return EINVAL;
	default:
		return EIO;
	}
}

int netns_nl_error(struct err *err, int nl_error, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return err_set(err, netns_nl_errno(nl_error), "%s: %s", text,
		       nl_geterror(nl_error));
}
