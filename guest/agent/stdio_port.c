/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/stdio_port.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

#define SENDPAGE "/sys/module/vmw_vsock_virtio_transport/parameters/sendpage"

union peer {
	struct sockaddr any;
	struct sockaddr_vm vm;
	struct sockaddr_un un;
};

static struct {
	struct evsource listener;
	bool takes_pages;
	unsigned n;
	struct waiting {
		uint32_t port;
		int fd;
	} waiting[STDIO_PORT_WAITING]; /* oldest first */
} calls;

static uint32_t unix_port(const struct sockaddr_un *un, socklen_t len)
{
	char path[sizeof(un->sun_path) + 1] = "";
	size_t offset = offsetof(struct sockaddr_un, sun_path);
	size_t n = len > offset ? MIN(len - offset, sizeof(un->sun_path)) : 0;
	const char *mark;

	memcpy(path, un->sun_path, n);
	mark = memrchr(path, '_', n);
	return mark ? (uint32_t)strtoul(mark + 1, NULL, 10) : 0;
}

/* 0: not the host. */
static uint32_t caller(const union peer *peer, socklen_t len)
{
	if (peer->any.sa_family == AF_UNIX)
		return unix_port(&peer->un, len);
	if (peer->any.sa_family != AF_VSOCK ||
	    peer->vm.svm_cid != VMADDR_CID_HOST)
		return 0;
	return peer->vm.svm_port;
}

static int remove_at(unsigned i)
{
	int fd = calls.waiting[i].fd;

	calls.n--;
	memmove(&calls.waiting[i], &calls.waiting[i + 1],
		(calls.n - i) * sizeof(calls.waiting[0]));
	return fd;
}

/* False: there is none. */
static bool accept_one(void)
{
	union peer peer = {0};
	socklen_t len = sizeof(peer);
	int fd = accept4(calls.listener.fd, &peer.any, &len,
			 SOCK_CLOEXEC | SOCK_NONBLOCK);
	uint32_t port;

	if (fd < 0)
		return errno == ECONNABORTED || errno == EINTR;
	port = caller(&peer, len);
	if (!port) {
		close(fd);
		return true;
	}
	if (calls.n == STDIO_PORT_WAITING)
		close(remove_at(0));
	calls.waiting[calls.n++] = (struct waiting){.port = port, .fd = fd};
	return true;
}

static void accept_peers(struct evsource *src, uint32_t revents)
{
	/* What is left wakes us again. */
	(void)accept_one();
}

static bool is_vsock(int fd)
{
	int domain = 0;
	socklen_t len = sizeof(domain);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 &&
	       domain == AF_VSOCK;
}

static bool kernel_sends_pages(void)
{
	AUTO_FREE char *value = NULL;

	return file_read(AT_FDCWD, SENDPAGE, 16, &value, NULL) == 0 &&
	       value[0] == 'Y';
}

int stdio_port_serve(struct evloop *loop, int fd)
{
	/* Three come for each process, and several start at a time. */
	int ret = listen(fd, (int)STDIO_PORT_WAITING) < 0 ? -errno : 0;

	if (!ret)
		ret = evsource_add(loop, &calls.listener, fd, EPOLLIN,
				   accept_peers);

	if (ret < 0)
		close(fd);
	else
		calls.takes_pages = is_vsock(fd) && kernel_sends_pages();
	return ret;
}

bool stdio_port_serves(void)
{
	return calls.listener.loop != NULL;
}

bool stdio_port_takes_pages(void)
{
	return calls.takes_pages;
}

static int find(uint32_t port)
{
	for (unsigned i = calls.n; i--;)
		if (calls.waiting[i].port == port)
			return remove_at(i);
	return -ENOENT;
}

int stdio_port_take(uint32_t port)
{
	int fd;

	if (!stdio_port_serves())
		return -ENOENT;
	fd = find(port);
	for (unsigned i = 0; fd < 0 && i < STDIO_PORT_WAITING; i++) {
		if (!accept_one())
			break;
		fd = find(port);
	}
	return fd;
}
