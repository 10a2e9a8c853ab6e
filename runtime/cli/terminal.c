/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fdpass.h"

static int make_raw(int fd, struct termios *saved)
{
	struct termios raw;

	if (tcgetattr(fd, saved) < 0)
		return -errno;
	raw = *saved;
	cfmakeraw(&raw);
	return tcsetattr(fd, TCSANOW, &raw) < 0 ? -errno : 0;
}

/* The master travels with the slave's name, as runc sends it. */
static int send_master(const char *path, int master, const char *name,
		       struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	AUTO_FD int sock = -1;
	ssize_t n;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG,
			       "--console-socket %s: longer than %zu bytes",
			       path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 ||
	    connect(sock, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "--console-socket %s", path);
	n = fd_send(sock, name, strlen(name), &master, 1, MSG_NOSIGNAL);
	return n < 0 ? err_ret(err, (int)n, "--console-socket %s", path) : 0;
}

struct winsize console_size(const Oci__Process *process)
{
	const Oci__Box *box = process->console_size;

	return (struct winsize){
		.ws_row = box ? (unsigned short)box->height : 0,
		.ws_col = box ? (unsigned short)box->width : 0,
	};
}

static int open_pty(struct stdio *io, const struct winsize *size,
		    const char *console_socket, struct err *err)
{
	AUTO_FD int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios unused;
	char name[64];
	int ret;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 ||
	    ptsname_r(master, name, sizeof(name)))
		return err_sys(err, "pseudo-terminal");
	io->fds[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (io->fds[0] < 0)
		return err_sys(err, "open %s", name);
	io->own = true;
	/* The guest's terminal does the line editing. */
	ret = make_raw(io->fds[0], &unused);
	/* It is forwarded, and must not undo the spec's. */
	if (!ret && ioctl(io->fds[0], TIOCSWINSZ, size) < 0)
		ret = -errno;
	if (ret < 0)
		return err_ret(err, ret, "pseudo-terminal %s", name);
	return send_master(console_socket, master, name, err);
}

static int use_own_terminal(struct stdio *io, struct err *err)
{
	int ret;

	if (!isatty(STDIN_FILENO))
		return err_set(err, ENOTTY,
			       "process.terminal is true, but standard input "
			       "is not a terminal and there is no "
			       "--console-socket");
	ret = make_raw(STDIN_FILENO, &io->saved);
	if (ret < 0)
		return err_ret(err, ret, "terminal");
	io->raw = true;
	io->fds[0] = STDIN_FILENO;
	return 0;
}

int stdio_open(struct stdio *io, bool terminal, const struct winsize *size,
	       const char *console_socket, struct err *err)
{
	int ret;

	*io = (struct stdio){.fds = {0, 1, 2}, .nfds = 3, .tty = -1};
	if (!terminal && console_socket)
		return err_set(err, EINVAL,
			       "--console-socket: process.terminal is false");
	if (!terminal)
		return 0;
	io->nfds = 1;
	ret = console_socket ? open_pty(io, size, console_socket, err)
			     : use_own_terminal(io, err);
	if (ret < 0) {
		stdio_close(io);
		return ret;
	}
	io->tty = io->fds[0];
	return 0;
}

void stdio_close(struct stdio *io)
{
	if (io->raw)
		tcsetattr(io->fds[0], TCSANOW, &io->saved);
	if (io->own && io->fds[0] >= 0)
		close(steal_fd(&io->fds[0]));
	io->raw = false;
}
