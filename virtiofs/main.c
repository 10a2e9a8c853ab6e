/* SPDX-License-Identifier: Apache-2.0 */

/*
 * nacre-virtiofsd: the file system server for other VMMs, over vhost-user.
 * In the sandbox "namespace" this process waits for the one that serves, with
 * no privilege, and ends as it does.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/privilege.h"
#include "virtiofs/daemon/confine.h"
#include "virtiofs/daemon/listen.h"
#include "virtiofs/daemon/options.h"
#include "virtiofs/daemon/serve.h"

#define NAME "nacre-virtiofsd"

/* A line is a datagram: facility "daemon", severity "info", then the name. */
static int open_syslog(struct err *err)
{
	const struct sockaddr_un addr = {AF_UNIX, "/dev/log"};
	AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(err, "--syslog: /dev/log");
	return steal_fd(&fd);
}

static int open_log(const struct daemon_options *o, struct err *err)
{
	int fd = STDERR_FILENO;

	if (o->log_off)
		fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	else if (o->syslog)
		fd = open_syslog(err);
	if (o->log_off && fd < 0)
		return err_sys(err, "/dev/null");
	if (fd < 0)
		return fd;
	log_open(fd, LOG_TEXT, o->log_level,
		 o->syslog && !o->log_off ? "<30>" NAME : NAME);
	return 0;
}

/* Nothing that the caller has open is for the server, but its socket. */
static int close_others(int listen_fd, struct err *err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	unsigned from = STDERR_FILENO + 1;

	if (null < 0)
		return err_sys(err, "/dev/null");
	if (dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
		return err_sys(err, "standard input and output");
	if (listen_fd >= 0) {
		if (from < (unsigned)listen_fd)
			close_range(from, (unsigned)listen_fd - 1, 0);
		from = (unsigned)listen_fd + 1;
	}
	close_range(from, ~0u, 0);
	return 0;
}

/* A socket that was handed over. */
static int check_listener(int fd, struct err *err)
{
	int listening = 0;
	socklen_t len = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0)
		return err_sys(err, "--fd %d", fd);
	if (!listening)
		return err_set(err, EINVAL, "--fd %d: does not listen", fd);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_sys(err, "--fd %d", fd);
	return 0;
}

static int status_of(int status)
{
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (WTERMSIG(status) == SIGSYS)
		log_error("the server was killed for a system call that is "
			  "not on its list (--seccomp trap names it)");
	else
		log_error("the server was killed by signal %d",
			  WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

/* Any signal but the child's is passed on as the end of the pipe. */
static int wait_for(pid_t child, int alive_fd, const sigset_t *set)
{
	int status = 0;
	int signo;

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (sigwait(set, &signo) || signo == SIGCHLD)
			continue;
		if (alive_fd >= 0)
			close(steal_fd(&alive_fd));
	}
	return status_of(status);
}

/* Before the fork, so that no signal is lost. */
static void block_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, SIGCHLD);
	sigprocmask(SIG_BLOCK, set, NULL);
}

/* The exit status, or -errno. */
static int run(const struct daemon_options *o, struct daemon_socket *sock,
	       struct err *err)
{
	int listen_fd = o->socket_path ? sock->fd : o->listen_fd;
	int alive_fd = -1;
	AUTO_FD int parent_fd = -1;
	sigset_t set;
	pid_t child;
	int ret;

	if (o->sandbox != DAEMON_SANDBOX_NAMESPACE)
		return daemon_serve(o, listen_fd, -1, err);
	block_signals(&set);
	child = confine_fork(o, &alive_fd, &parent_fd, err);
	if (child < 0)
		return child;
	if (child == 0) {
		/* The lock is the parent's, and the file one of the host's. */
		if (sock->lock_fd >= 0)
			close(steal_fd(&sock->lock_fd));
		ret = daemon_serve(o, listen_fd, parent_fd, err);
		if (ret < 0)
			log_error("%s", err->text);
		_exit(ret < 0);
	}
	ret = privilege_reduce(0, err);
	if (ret < 0) {
		close(alive_fd);
		return ret;
	}
	return wait_for(child, alive_fd, &set);
}

static int start(const struct daemon_options *o, struct err *err)
{
	struct daemon_socket sock = {.fd = -1, .lock_fd = -1};
	int ret = close_others(o->listen_fd, err);

	if (!ret)
		ret = open_log(o, err);
	if (!ret && o->socket_path)
		ret = daemon_listen(&sock, o->socket_path, o->socket_group,
				    err);
	else if (!ret)
		ret = check_listener(o->listen_fd, err);
	if (!ret)
		ret = run(o, &sock, err);
	if (o->sandbox != DAEMON_SANDBOX_CHROOT)
		daemon_unlisten(&sock);
	return ret;
}

int main(int argc, char **argv)
{
	struct daemon_options options;
	struct err err = {0};
	int ret = daemon_options_parse(&options, argc, argv, &err);

	log_open(STDERR_FILENO, LOG_TEXT, LOG_INFO, NAME);
	signal(SIGPIPE, SIG_IGN);
	/* Ignored, as a caller may have left it, children leave no status. */
	signal(SIGCHLD, SIG_DFL);
	if (ret == 0 && options.help)
		return fputs(daemon_options_usage, stdout) < 0;
	if (ret == 0 && options.version)
		return puts(NAME " " NACRE_VERSION) < 0;
	/* As QEMU's vhost-user.json has it: options stand for themselves. */
	if (ret == 0 && options.print_capabilities)
		return puts("{\n  \"type\": \"fs\",\n  \"features\": [\n"
			    "    \"separate-options\"\n  ]\n}") < 0;
	if (ret == 0)
		ret = start(&options, &err);
	if (ret >= 0)
		return ret;
	log_error("%s", err.text);
	return 1;
}
