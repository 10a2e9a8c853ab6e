/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: serve SOCKET fs TREE TAG
 *        serve SOCKET blk IMAGE
 *        serve SOCKET rng
 *        serve SOCKET vsock CALLS CID
 *        serve SOCKET net TAP
 *
 * One device of nacre's for another VMM, over vhost-user: listens at SOCKET
 * and serves one front-end after the other, until SIGTERM. Says on stdout
 * "KIND listening", "KIND connected" and "KIND disconnected".
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "virtiofs/virtiofs.h"
#include "vmm/virtio/blk.h"
#include "vmm/virtio/net.h"
#include "vmm/virtio/rng.h"
#include "vmm/virtio/vhost_user.h"
#include "vmm/virtio/vsock.h"

#define NET_HEADER_LEN 12

struct server {
	const char *kind;
	struct evloop *loop;
	struct virtio_device *dev;
	struct vhost_user *vu; /* NULL: nobody is connected */
	struct evsource listener;
	struct evsource signals;
};

static int listen_at(const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return err_sys(err, "socket");
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "%s: too long", path);
	memcpy(addr.sun_path, path, strlen(path));
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "bind %s", path);
	if (listen(fd, 8) < 0)
		return err_sys(err, "listen %s", path);
	return steal_fd(&fd);
}

/* Devices. --------------------------------------------------------------- */

static struct virtio_device *make_fs(char **argv, struct err *err)
{
	struct virtiofs_config config = {
		.proc_fd = -1,
		.tag = argv[1],
		.cache = VIRTIOFS_CACHE_AUTO,
		.xattr = true,
		.workers = 2,
	};

	config.root_fd = open(argv[0], O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (config.root_fd < 0) {
		err_sys(err, "%s", argv[0]);
		return NULL;
	}
	return virtiofs_device_new(&config, err);
}

static struct virtio_device *make_blk(char **argv, struct err *err)
{
	struct virtio_blk_config config = {.serial = "nacre"};

	config.fd = open(argv[0], O_RDWR | O_CLOEXEC);
	if (config.fd < 0) {
		err_sys(err, "%s", argv[0]);
		return NULL;
	}
	return virtio_blk_new(&config, err);
}

static struct virtio_device *make_rng(char **argv, struct err *err)
{
	struct virtio_device *dev = virtio_rng_new();

	if (!dev)
		err_set(err, ENOMEM, "rng: out of memory");
	return dev;
}

static struct virtio_device *make_vsock(char **argv, struct err *err)
{
	char *end;
	unsigned long cid = strtoul(argv[1], &end, 10);
	int fd;

	if (*end || cid > UINT32_MAX) {
		err_set(err, EINVAL, "%s: no CID", argv[1]);
		return NULL;
	}
	fd = listen_at(argv[0], err);
	if (fd < 0)
		return NULL;
	return virtio_vsock_new((uint32_t)cid, fd, argv[0], err);
}

static int open_tap(const char *name, struct err *err)
{
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
	AUTO_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	int header = NET_HEADER_LEN;

	if (fd < 0)
		return err_sys(err, "/dev/net/tun");
	if (strlen(name) >= sizeof(ifr.ifr_name))
		return err_set(err, ENAMETOOLONG, "%s: too long", name);
	memcpy(ifr.ifr_name, name, strlen(name));
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 ||
	    ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return err_sys(err, "tap %s", name);
	return steal_fd(&fd);
}

/* The address that the guest sees is the front-end's. */
static struct virtio_device *make_net(char **argv, struct err *err)
{
	struct vm_net_config config = {.mac = {0x52, 0x54, 0, 0, 0, 1}};

	config.tap_fd = open_tap(argv[0], err);
	if (config.tap_fd < 0)
		return NULL;
	return virtio_net_new(&config, err);
}

static const struct kind {
	const char *name;
	int nargs;
	struct virtio_device *(*make)(char **argv, struct err *err);
} kinds[] = {
	{"fs", 2, make_fs},	  {"blk", 1, make_blk}, {"rng", 0, make_rng},
	{"vsock", 2, make_vsock}, {"net", 1, make_net},
};

/* Serving. --------------------------------------------------------------- */

static void say(const struct server *s, const char *what)
{
	printf("%s %s\n", s->kind, what);
	fflush(stdout);
}

static void accept_ready(struct evsource *src, uint32_t revents);

static void next_one(struct server *s, int listen_fd)
{
	int rc = evsource_add(s->loop, &s->listener, listen_fd, EPOLLIN,
			      accept_ready);

	if (rc < 0) {
		log_error("serve %s: %s", s->kind, strerror(-rc));
		evloop_stop(s->loop);
	}
}

static void disconnected(struct vhost_user *vu, void *arg)
{
	struct server *s = arg;

	s->vu = NULL;
	vhost_user_free(vu);
	say(s, "disconnected");
	next_one(s, s->listener.fd);
}

static void accept_ready(struct evsource *src, uint32_t revents)
{
	struct server *s = container_of(src, struct server, listener);
	const struct vhost_user_options options = {
		.memory_fd = -1,
		.inflight = true,
		.closed = disconnected,
		.arg = s,
	};
	struct err err;
	int listen_fd = src->fd;
	int fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	/* Others wait in the queue of the socket. */
	evsource_del(src);
	src->fd = listen_fd;
	s->vu = vhost_user_new(s->loop, s->dev, fd, &options, &err);
	if (!s->vu) {
		log_error("serve: %s", err.text);
		evloop_stop(s->loop);
		return;
	}
	say(s, "connected");
}

static void signalled(struct evsource *src, uint32_t revents)
{
	struct server *s = container_of(src, struct server, signals);

	evloop_stop(s->loop);
}

static int serve(struct server *s, int listen_fd, struct err *err)
{
	AUTO_FD int signals = -1;
	sigset_t set;
	int rc;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return err_sys(err, "signalfd");
	rc = evsource_add(s->loop, &s->signals, signals, EPOLLIN, signalled);
	if (rc < 0)
		return err_ret(err, rc, "signals");
	next_one(s, listen_fd);
	say(s, "listening");
	rc = evloop_run(s->loop);
	vhost_user_free(s->vu);
	evsource_del(&s->listener);
	evsource_del(&s->signals);
	return rc < 0 ? err_ret(err, rc, "event loop") : 0;
}

static const struct kind *kind_of(int argc, char **argv)
{
	for (unsigned i = 0; argc >= 3 && i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(kinds[i].name, argv[2]) == 0 &&
		    kinds[i].nargs == argc - 3)
			return &kinds[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const struct kind *kind = kind_of(argc, argv);
	AUTO_FD int listen_fd = -1;
	struct server s = {0};
	struct err err = {0};
	int rc;

	if (!kind) {
		fprintf(stderr, "usage: serve SOCKET fs TREE TAG | blk IMAGE | "
				"rng | vsock CALLS CID | net TAP\n");
		return 2;
	}
	log_open(STDERR_FILENO, LOG_TEXT, LOG_INFO, "serve");
	s.kind = kind->name;
	s.loop = evloop_new();
	if (!s.loop)
		abort();
	s.dev = kind->make(argv + 3, &err);
	listen_fd = s.dev ? listen_at(argv[1], &err) : -1;
	rc = listen_fd < 0 ? -1 : serve(&s, listen_fd, &err);
	if (rc < 0)
		log_error("serve %s: %s", s.kind, err.text);
	if (s.dev)
		virtio_device_free(s.dev);
	evloop_free(s.loop);
	return rc < 0;
}
