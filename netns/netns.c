/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <netlink/cache.h>
#include <netlink/errno.h>
#include <netlink/route/link.h>

#include "base/cleanup.h"
#include "netns/discover.h"
#include "netns/enter.h"
#include "netns/redirect.h"
#include "netns/tap.h"

int netns_model_parse(const char *name, enum netns_model *model,
		      struct err *err)
{
	if (!name || !*name || strcmp(name, "tcfilter") == 0)
		*model = NETNS_TCFILTER;
	else if (strcmp(name, "none") == 0)
		*model = NETNS_NONE;
	else
		return err_set(err, EINVAL,
			       "internetworking_model %s: not supported "
			       "(tcfilter, none)",
			       name);
	return 0;
}

/* A namespace of our own. -------------------------------------------------- */

static int raise_loopback(struct err *err)
{
	AUTO_FD int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (sock < 0 || ioctl(sock, SIOCSIFFLAGS, &ifr) < 0)
		return err_sys(err, "raising lo");
	return 0;
}

static int create_job(struct netns_job *job, struct nl_sock *sock,
		      struct err *err)
{
	int r = raise_loopback(err);

	if (r < 0)
		return r;
	if (mount("/proc/thread-self/ns/net", job->path, NULL, MS_BIND, NULL) <
	    0)
		return err_sys(err, "mount");
	return 0;
}

int netns_create(const char *path, struct err *err)
{
	struct netns_job job = {create_job, path};
	AUTO_FD int fd = open(
		path, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return err_sys(err, "network namespace %s", path);
	r = netns_enter(-1, &job, err);
	if (r < 0) {
		unlink(path);
		return err_wrap(err, "network namespace %s", path);
	}
	return 0;
}

int netns_remove(const char *path, struct err *err)
{
	/* EINVAL: nothing is mounted on it. */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 &&
	    errno != EINVAL && errno != ENOENT)
		return err_sys(err, "unmounting network namespace %s", path);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "removing %s", path);
	return 0;
}

/* Detaching. --------------------------------------------------------------- */

static bool is_our_tap(struct rtnl_link *link)
{
	const char *kind = rtnl_link_get_type(link);

	return tap_name_is_ours(rtnl_link_get_name(link)) && kind &&
	       strcmp(kind, "tun") == 0;
}

static int delete_link(struct nl_sock *sock, struct rtnl_link *link,
		       struct err *err)
{
	int r = rtnl_link_delete(sock, link);

	/* It ended with its descriptor meanwhile. */
	if (r < 0 && r != -NLE_NODEV && r != -NLE_OBJ_NOTFOUND)
		return netns_nl_error(err, r, "removing %s",
				      rtnl_link_get_name(link));
	return 0;
}

/* Goes on after an error, so that as little as possible is left. */
static int detach_job(struct netns_job *job, struct nl_sock *sock,
		      struct err *err)
{
	struct nl_cache *links = NULL;
	struct err ignored;
	int result = 0;
	int r = rtnl_link_alloc_cache(sock, AF_UNSPEC, &links);

	if (r < 0)
		return netns_nl_error(err, r, "interfaces");
	for (struct nl_object *o = nl_cache_get_first(links); o;
	     o = nl_cache_get_next(o)) {
		struct rtnl_link *link = (struct rtnl_link *)o;
		struct err *e = result < 0 ? &ignored : err;

		if (rtnl_link_get_flags(link) & IFF_LOOPBACK)
			continue;
		if (is_our_tap(link))
			r = delete_link(sock, link, e);
		else
			r = redirect_remove(sock, rtnl_link_get_ifindex(link),
					    rtnl_link_get_name(link), e);
		result = result < 0 ? result : r;
	}
	nl_cache_free(links);
	return result;
}

int netns_detach(const char *path, struct err *err)
{
	struct netns_job job = {detach_job, path};
	AUTO_FD int fd = -1;
	int r;

	/* The file of a namespace that was removed, or none at all. */
	fd = netns_open(path, err);
	if (fd == -ENOENT || fd == -EINVAL)
		return 0;
	if (fd < 0)
		return fd;
	r = netns_check_foreign(fd, path, err);
	if (r < 0)
		return r;
	r = netns_enter(fd, &job, err);
	return r < 0 ? err_wrap(err, "network namespace %s", path) : 0;
}

/* Attaching. --------------------------------------------------------------- */

struct attach_job {
	struct netns_job job;
	struct netns_network *net;
};

/* Taps end with their descriptors: one that is there belongs to somebody. */
static int check_no_taps(struct nl_sock *sock, struct err *err)
{
	struct nl_cache *links = NULL;
	int r = rtnl_link_alloc_cache(sock, AF_UNSPEC, &links);

	if (r < 0)
		return netns_nl_error(err, r, "interfaces");
	for (struct nl_object *o = nl_cache_get_first(links); o && r >= 0;
	     o = nl_cache_get_next(o)) {
		const char *name = rtnl_link_get_name((struct rtnl_link *)o);

		if (tap_name_is_ours(name))
			r = err_set(err, EBUSY,
				    "%s: a sandbox that runs has these "
				    "interfaces",
				    name);
	}
	nl_cache_free(links);
	return r;
}

static int attach_interface(struct nl_sock *sock, struct netns_interface *i,
			    struct err *err)
{
	int tap;
	int r;

	i->tap_fd = tap_open(i->tap, i->mtu, err);
	if (i->tap_fd < 0)
		return i->tap_fd;
	tap = (int)if_nametoindex(i->tap);
	if (!tap)
		return err_sys(err, "%s", i->tap);
	r = redirect_add(sock, i->index, tap, i->name, err);
	if (r < 0)
		return r;
	return redirect_add(sock, tap, i->index, i->tap, err);
}

static int attach_job(struct netns_job *job, struct nl_sock *sock,
		      struct err *err)
{
	struct attach_job *a = container_of(job, struct attach_job, job);
	struct err ignored;
	int r = check_no_taps(sock, err);

	/* What a supervisor that was killed left behind. */
	if (r >= 0)
		r = detach_job(job, sock, err);
	if (r < 0)
		return r;
	r = discover(sock, job->path, a->net, err);
	for (unsigned i = 0; i < a->net->count && r >= 0; i++)
		r = attach_interface(sock, &a->net->interfaces[i], err);
	if (r < 0) {
		netns_network_release(a->net);
		/* The first error is the one to tell. */
		if (detach_job(job, sock, &ignored) < 0)
			return r;
	}
	return r;
}

int netns_attach(const char *path, enum netns_model model,
		 struct netns_network *net, struct err *err)
{
	struct attach_job a = {.job = {attach_job, path}, .net = net};
	AUTO_FD int fd = -1;
	int r;

	net->count = 0;
	fd = netns_open(path, err);
	if (fd < 0)
		return fd;
	r = netns_check_foreign(fd, path, err);
	if (r < 0 || model == NETNS_NONE)
		return r;
	r = netns_enter(fd, &a.job, err);
	return r < 0 ? err_wrap(err, "network namespace %s", path) : 0;
}

void netns_network_release(struct netns_network *net)
{
	for (unsigned i = 0; i < net->count; i++) {
		if (net->interfaces[i].tap_fd >= 0)
			close(net->interfaces[i].tap_fd);
		net->interfaces[i].tap_fd = -1;
	}
	net->count = 0;
}
