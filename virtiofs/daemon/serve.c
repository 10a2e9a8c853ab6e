/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/daemon/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/evloop.h"
#include "base/file.h"
#include "base/log.h"
#include "virtiofs/daemon/confine.h"
#include "vmm/virtio/device.h"
#include "vmm/virtio/vhost_user.h"

#define NOFILE_DEFAULT 1000000u

struct server {
	const struct daemon_options *options;
	struct evloop *loop;
	struct virtio_device *dev;
	struct vhost_user *vu; /* NULL: nobody is connected */
	int listen_fd;
	struct evsource listener;
	struct evsource signals;
	struct evsource parent;
	int failed; /* -errno: why the loop was stopped */
};

/* Front-ends. ----------------------------------------------------------- */

static void accept_ready(struct evsource *src, uint32_t revents);

static int wait_for_next(struct server *s)
{
	return evsource_add(s->loop, &s->listener, s->listen_fd, EPOLLIN,
			    accept_ready);
}

static void stop(struct server *s, int failed)
{
	s->failed = failed;
	evloop_stop(s->loop);
}

static void disconnected(struct vhost_user *vu, void *arg)
{
	struct server *s = arg;
	int ret;

	s->vu = NULL;
	vhost_user_free(vu);
	log_info("the front-end is gone");
	if (s->options->once) {
		stop(s, 0);
		return;
	}
	ret = wait_for_next(s);
	if (ret < 0)
		stop(s, ret);
}

static void accept_ready(struct evsource *src, uint32_t revents)
{
	struct server *s = container_of(src, struct server, listener);
	const struct vhost_user_options options = {
		.memory_fd = -1,
		.inflight = true,
		.no_config = !s->options->tag_given,
		.closed = disconnected,
		.arg = s,
	};
	struct err err;
	int fd = accept4(s->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	/* Others wait in the queue of the socket. */
	evsource_del(src);
	s->vu = vhost_user_new(s->loop, s->dev, fd, &options, &err);
	if (!s->vu) {
		log_error("%s", err.text);
		stop(s, -err.code);
		return;
	}
	log_info("a front-end is connected");
}

/* The end. -------------------------------------------------------------- */

static void signalled(struct evsource *src, uint32_t revents)
{
	stop(container_of(src, struct server, signals), 0);
}

static void parent_gone(struct evsource *src, uint32_t revents)
{
	stop(container_of(src, struct server, parent), 0);
}

static int open_signals(struct err *err)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? err_sys(err, "signalfd") : fd;
}

static int watch(struct server *s, int signals, int parent_fd)
{
	int ret =
		evsource_add(s->loop, &s->signals, signals, EPOLLIN, signalled);

	if (!ret && parent_fd >= 0)
		ret = evsource_add(s->loop, &s->parent, parent_fd, EPOLLIN,
				   parent_gone);
	return ret ? ret : wait_for_next(s);
}

/* Set-up. --------------------------------------------------------------- */

static uint64_t nofile_default(void)
{
	AUTO_FREE char *text = NULL;
	uint64_t most = NOFILE_DEFAULT;

	if (file_read(AT_FDCWD, "/proc/sys/fs/nr_open", 32, &text, NULL) == 0)
		most = MIN(most, (uint64_t)strtoull(text, NULL, 10));
	return most;
}

static int set_nofile(const struct daemon_options *o, struct err *err)
{
	struct rlimit limit;
	uint64_t want = o->nofile_given ? o->nofile : nofile_default();

	if (o->fs.keep_nofile)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_sys(err, "RLIMIT_NOFILE");
	/* What is more than asked for stays when nobody asked. */
	if (!o->nofile_given && limit.rlim_cur >= want)
		return 0;
	limit = (struct rlimit){want, want};
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	/* As much as there is, then: virtiofs_device_new raises that. */
	if (errno == EPERM && !o->nofile_given)
		return 0;
	return err_sys(err, "--rlimit-nofile %llu", (unsigned long long)want);
}

/* The device, in a process that can do no more than serve it. */
static struct virtio_device *make_device(const struct daemon_options *o,
					 struct err *err)
{
	struct virtiofs_config config = o->fs;
	struct confined confined;
	struct virtio_device *dev;
	AUTO_FD int root = -1;

	if (set_nofile(o, err) < 0 || confine_enter(o, &confined, err) < 0)
		return NULL;
	root = fcntl(confined.root_fd, F_DUPFD_CLOEXEC, 0);
	config.root_fd = confined.root_fd;
	config.proc_fd = confined.proc_fd;
	config.thread_started = confine_thread;
	dev = virtiofs_device_new(&config, err);
	if (!dev)
		return NULL;
	if (root < 0)
		err_set(err, EMFILE, "descriptor of the shared directory");
	else if (confine_lock(o, virtiofs_device_has_handles(dev), root, err) ==
		 0)
		return dev;
	virtio_device_free(dev);
	return NULL;
}

static void server_release(struct server *s)
{
	vhost_user_free(s->vu);
	evsource_del(&s->listener);
	evsource_del(&s->parent);
	evsource_del(&s->signals);
	if (s->dev)
		virtio_device_free(s->dev);
	evloop_free(s->loop);
}

int daemon_serve(const struct daemon_options *o, int listen_fd, int parent_fd,
		 struct err *err)
{
	struct server s = {
		.options = o,
		.listen_fd = listen_fd,
		.loop = evloop_new(),
	};
	AUTO_FD int signals = -1;
	int ret = s.loop ? 0 : err_sys(err, "event loop");

	if (!ret)
		signals = ret = open_signals(err);
	if (ret >= 0) {
		s.dev = make_device(o, err);
		ret = s.dev ? 0 : -err->code;
	}
	if (ret >= 0) {
		ret = watch(&s, signals, parent_fd);
		if (ret >= 0)
			log_info("ready");
		if (ret >= 0)
			ret = evloop_run(s.loop);
		if (ret >= 0)
			ret = s.failed;
		if (ret < 0)
			err_ret(err, ret, "event loop");
	}
	server_release(&s);
	return ret;
}
