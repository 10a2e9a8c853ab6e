/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/sandbox/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "base/signals.h"
#include "runtime/sandbox/sandbox.h"
#include "runtime/sandbox/share.h"

#define CONNECTIONS_MAX 1024u
/* Whoever started it connects at once; after this it was killed. */
#define IDLE_MS 10000u

/* Without a container and a caller there is nothing to stay for. */
static void end_if_idle(struct sandbox *s)
{
	if (!s->containers && !ttrpc_server_connections(s->server))
		evloop_stop(s->loop);
}

static void on_dropped(void *arg)
{
	struct sandbox *s = arg;

	for (struct container *c = s->containers; c; c = c->next) {
		events_forget(c);
		for (struct process *p = c->processes; p; p = p->next)
			process_forget_waiters(p);
	}
	end_if_idle(s);
}

static void on_idle(struct evtimer *timer)
{
	end_if_idle(container_of(timer, struct sandbox, idle));
}

static int serve(struct sandbox *s, struct err *err)
{
	struct ttrpc_server_config config = {
		.methods = task_methods,
		.arg = s,
		.accept_fds = true,
		.connections_max = CONNECTIONS_MAX,
		.dropped = on_dropped,
	};
	int fd = sandbox_listen(s, "task.sock", err);
	int ret;

	if (fd < 0)
		return fd;
	ret = evtimer_init(s->loop, &s->idle, on_idle);
	if (ret < 0) {
		close(fd);
		return err_ret(err, ret, "timer");
	}
	evtimer_start(&s->idle, IDLE_MS);
	s->server = ttrpc_server_new(s->loop, fd, &config, err);
	return s->server ? 0 : -err->code;
}

static void forget_caller(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	/* Among them SIGCHLD: ignored, hooks would leave no exit status. */
	signals_reset();
	signal(SIGPIPE, SIG_IGN);
	/* Ends by its socket or a kill, not with the caller's terminal. */
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	for (int i = 0; null >= 0 && i < 3; i++)
		dup2(null, i);
	if (null > 2)
		close(null);
	if (chdir("/") < 0)
		_exit(1);
	umask(022);
}

static void close_inherited(int report, int log)
{
	int low = MIN(report, log), high = MAX(report, log);
	unsigned next = 3;

	if (low > 2) {
		if (low > 3)
			close_range(next, (unsigned)low - 1, 0);
		next = (unsigned)low + 1;
	}
	if (high > (int)next)
		close_range(next, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0u, 0);
}

static void run_loop(struct evloop *loop)
{
	int ret = evloop_run(loop);

	if (ret < 0)
		log_error("event loop: %s", strerror(-ret));
}

static void NORETURN supervisor_main(const struct supervisor_args *args,
				     int report)
{
	struct sandbox *s = NULL;
	struct err err;

	prctl(PR_SET_NAME, "nacre");
	forget_caller();
	close_inherited(report, args->log_fd);
	log_open(args->log_fd, args->log_json ? LOG_JSON : LOG_TEXT,
		 args->debug ? LOG_DEBUG : LOG_INFO, "nacre");
	if (share_leave_host(&err) == 0)
		s = sandbox_new(args, &err);
	if (!s || serve(s, &err) < 0) {
		(void)!write_full(report, err.text, strlen(err.text));
		_exit(1);
	}
	log_debug("step: supervisor serves");
	(void)!write_full(report, "", 1);
	close(report);
	run_loop(s->loop);
	sandbox_free(s);
	_exit(0);
}

/* One NUL: it serves. Text: why not. Nothing: it was killed. */
static int read_report(int fd, struct err *err)
{
	char text[ERR_TEXT_MAX];
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	if (len == 1 && !text[0])
		return 0;
	return err_set(err, EIO, "supervisor: %s",
		       len ? text : "ended before it was ready");
}

int supervisor_start(const struct supervisor_args *args, struct err *err)
{
	int report[2];
	pid_t pid;
	int ret;

	if (pipe2(report, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		supervisor_main(args, report[1]);
	close(report[1]);
	ret = pid < 0 ? err_sys(err, "fork") : read_report(report[0], err);
	close(report[0]);
	return ret;
}
