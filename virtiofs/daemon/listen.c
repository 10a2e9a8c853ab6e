/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/daemon/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

/* Of this process alone: a child does not keep it. */
static int lock_file(int fd, const struct daemon_socket *sock, struct err *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_SETLK, &lock) == 0)
		return 0;
	if (errno == EAGAIN || errno == EACCES)
		return err_set(err, EADDRINUSE, "%s: another process serves it",
			       sock->path);
	return err_sys(err, "locking %s", sock->lock_path);
}

/* One that went between the open and the lock says nothing. */
static int lock_open(const struct daemon_socket *sock, struct err *err)
{
	struct stat st;

	for (;;) {
		AUTO_FD int fd =
			open(sock->lock_path,
			     O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
		int ret;

		if (fd < 0 || fstat(fd, &st) < 0)
			return err_sys(err, "%s", sock->lock_path);
		if (!S_ISREG(st.st_mode))
			return err_set(err, EEXIST, "%s: is no file",
				       sock->lock_path);
		ret = lock_file(fd, sock, err);
		if (ret < 0)
			return ret;
		if (fstat(fd, &st) == 0 && st.st_nlink > 0)
			return steal_fd(&fd);
	}
}

static int lock_take(struct daemon_socket *sock, struct err *err)
{
	char text[16];
	int ret;

	snprintf(sock->lock_path, sizeof(sock->lock_path), "%s.pid",
		 sock->path);
	ret = lock_open(sock, err);
	if (ret < 0)
		return ret;
	sock->lock_fd = ret;
	if (ftruncate(sock->lock_fd, 0) < 0)
		return err_sys(err, "%s", sock->lock_path);
	snprintf(text, sizeof(text), "%d\n", (int)getpid());
	ret = write_full(sock->lock_fd, text, strlen(text));
	return ret < 0 ? err_ret(err, ret, "%s", sock->lock_path) : 0;
}

/* What a process of before left there; nothing but a socket is removed. */
static int remove_stale(const char *path, struct err *err)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EEXIST, "%s: is there, and no socket",
			       path);
	return unlink(path) < 0 ? err_sys(err, "unlink %s", path) : 0;
}

static int open_to(const char *path, const char *group, struct err *err)
{
	struct group *entry;

	if (!group)
		return 0;
	errno = 0;
	entry = getgrnam(group);
	if (!entry)
		return err_set(err, errno ? errno : ENOENT,
			       "--socket-group %s: no such group", group);
	if (lchown(path, (uid_t)-1, entry->gr_gid) < 0)
		return err_sys(err, "%s: group %s", path, group);
	/* It is ours, in a name that was free: no link. */
	if (chmod(path, 0660) < 0)
		return err_sys(err, "%s: mode", path);
	return 0;
}

static int bind_at(int fd, const struct sockaddr_un *addr)
{
	mode_t mask = umask(0177);
	int ret = bind(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0
			  ? -errno
			  : 0;

	umask(mask);
	return ret;
}

int daemon_listen(struct daemon_socket *sock, const char *path,
		  const char *group, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int ret;

	*sock = (struct daemon_socket){.path = path, .fd = -1, .lock_fd = -1};
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG,
			       "%s: too long for the name of a socket", path);
	memcpy(addr.sun_path, path, strlen(path));
	ret = lock_take(sock, err);
	if (!ret)
		ret = remove_stale(path, err);
	if (ret < 0)
		return ret;
	sock->fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock->fd < 0)
		return err_sys(err, "socket");
	ret = bind_at(sock->fd, &addr);
	if (ret < 0)
		return err_ret(err, ret, "bind %s", path);
	ret = open_to(path, group, err);
	if (ret < 0)
		return ret;
	/* Not before everybody may be there who may. */
	if (listen(sock->fd, 8) < 0)
		return err_sys(err, "listen %s", path);
	return 0;
}

void daemon_unlisten(struct daemon_socket *sock)
{
	if (sock->fd >= 0) {
		(void)!unlinkat(AT_FDCWD, sock->path, 0);
		close(steal_fd(&sock->fd));
	}
	if (sock->lock_fd >= 0) {
		(void)!unlinkat(AT_FDCWD, sock->lock_path, 0);
		close(steal_fd(&sock->lock_fd));
	}
}
