/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/listen.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "base/cleanup.h"

#define FLAGS (SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)

static int listen_vsock(unsigned port, struct err *err)
{
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_port = port,
		.svm_cid = VMADDR_CID_ANY,
	};
	AUTO_FD int fd = socket(AF_VSOCK, FLAGS, 0);

	if (fd < 0)
		return err_sys(err, "socket AF_VSOCK");
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, LISTEN_CONNECTIONS) < 0)
		return err_sys(err, "vsock port %u", port);
	return steal_fd(&fd);
}

static int listen_unix(const char *path, const char *suffix, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int len = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s%s", path,
			   suffix);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
				     (size_t)len);
	AUTO_FD int fd = socket(AF_UNIX, FLAGS, 0);

	if (fd < 0)
		return err_sys(err, "socket AF_UNIX");
	if (!path[0] || len < 0 || (size_t)len >= sizeof(addr.sun_path))
		return err_set(err, EINVAL, "%.64s: not a usable path", path);
	if (path[0] == '@')
		addr.sun_path[0] = '\0';
	else
		size++;
	if (bind(fd, (struct sockaddr *)&addr, size) < 0 ||
	    listen(fd, LISTEN_CONNECTIONS) < 0)
		return err_sys(err, "%s%s", path, suffix);
	return steal_fd(&fd);
}

int listen_at(const char *address, unsigned port, const char *suffix,
	      struct err *err)
{
	if (strncmp(address, "unix://", 7) == 0)
		return listen_unix(address + 7, suffix, err);
	if (!*address || strcmp(address, "vsock://-1:1024") == 0)
		return listen_vsock(port, err);
	return err_set(err, EINVAL, "server address %.128s: not unix://PATH",
		       address);
}
