/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/cli/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent-proto/pb.h"
#include "agent-proto/ttrpc.h"
#include "base/cleanup.h"
#include "base/evloop.h"
#include "base/file.h"
#include "base/log.h"
#include "runtime/cli/task.h"

struct run {
	const struct proxy_target *target;
	struct evloop *loop;
	struct ttrpc_client *client;
	struct ttrpc_call wait;
	struct evsource signals;
	int status;
	char lost[ERR_TEXT_MAX]; /* why there is none of the process's own */
};

/* A call whose answer is of no interest: the process may have ended. */
struct one_way {
	struct ttrpc_call call;
};

static void one_way_done(struct ttrpc_call *call, enum ttrpc_code code,
			 const char *text, const ProtobufCMessage *reply)
{
	if (code != TTRPC_OK)
		log_debug("proxy: %s", text);
	free(container_of(call, struct one_way, call));
}

static void send_one_way(struct run *run, const char *method,
			 const ProtobufCMessage *request)
{
	struct one_way *o = calloc(1, sizeof(*o));

	if (!o)
		return;
	o->call.done = one_way_done;
	ttrpc_call_start(run->client, &o->call, TASK_SERVICE, method, request,
			 NULL, 0, NULL, 0);
}

static void forward_size(struct run *run)
{
	Task__ResizePtyRequest request = TASK__RESIZE_PTY_REQUEST__INIT;
	struct winsize size;

	if (run->target->tty < 0 ||
	    ioctl(run->target->tty, TIOCGWINSZ, &size) < 0)
		return;
	request.id = pb_str(run->target->id);
	request.exec_id = pb_str(run->target->exec_id);
	request.width = size.ws_col;
	request.height = size.ws_row;
	send_one_way(run, "ResizePty", &request.base);
}

static void forward_signal(struct run *run, uint32_t signo)
{
	Task__KillRequest request = TASK__KILL_REQUEST__INIT;

	request.id = pb_str(run->target->id);
	request.exec_id = pb_str(run->target->exec_id);
	request.signal = signo;
	send_one_way(run, "Kill", &request.base);
}

static void on_signal(struct evsource *src, uint32_t revents)
{
	struct run *run = container_of(src, struct run, signals);
	struct signalfd_siginfo info;

	if (read(src->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH)
		forward_size(run);
	else
		forward_signal(run, info.ssi_signo);
}

static void wait_done(struct ttrpc_call *call, enum ttrpc_code code,
		      const char *text, const ProtobufCMessage *reply)
{
	struct run *run = container_of(call, struct run, wait);
	const Task__WaitResponse *response = (const void *)reply;

	if (code == TTRPC_OK)
		run->status = (int)(response->exit_status & 0xff);
	strncpy(run->lost, code == TTRPC_OK ? response->reason : text,
		sizeof(run->lost) - 1);
	evloop_stop(run->loop);
}

/* All that a process may catch and that is not about ourselves. */
static void forwarded(sigset_t *set)
{
	static const int ours[] = {SIGCHLD, SIGPIPE, SIGTTIN, SIGTTOU,
				   SIGTSTP, SIGSEGV, SIGBUS,  SIGILL,
				   SIGFPE,  SIGTRAP, SIGABRT, SIGSYS};

	sigfillset(set);
	for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
		sigdelset(set, ours[i]);
}

void proxy_block_signals(void)
{
	sigset_t set;

	forwarded(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int connect_client(struct run *run, struct err *err)
{
	int fd = task_connect(run->target->root, run->target->sandbox, err);

	if (fd < 0)
		return fd;
	run->client = ttrpc_client_new(run->loop, fd, NULL, NULL, err);
	return run->client ? 0 : -err->code;
}

static int run_loop(struct run *run, int signal_fd, struct err *err)
{
	Task__WaitRequest request = TASK__WAIT_REQUEST__INIT;
	int ret = connect_client(run, err);

	if (!ret)
		ret = evsource_add(run->loop, &run->signals, signal_fd, EPOLLIN,
				   on_signal);
	if (ret < 0)
		return ret;
	request.id = pb_str(run->target->id);
	request.exec_id = pb_str(run->target->exec_id);
	run->wait.done = wait_done;
	ttrpc_call_start(run->client, &run->wait, TASK_SERVICE, "Wait",
			 &request.base, &task__wait_response__descriptor, 0,
			 NULL, 0);
	forward_size(run);
	ret = evloop_run(run->loop);
	evsource_del(&run->signals);
	if (ret < 0)
		return err_ret(err, ret, "event loop");
	if (run->status < 0)
		return err_set(err, EPIPE, "%s", run->lost);
	*err = (struct err){0};
	if (run->lost[0])
		err_set(err, EIO, "%s: %s", run->target->id, run->lost);
	return run->status;
}

/* Nobody asks for the status of an exec again. */
static void forget_exec(const struct proxy_target *target)
{
	Task__DeleteRequest request = TASK__DELETE_REQUEST__INIT;
	struct err ignored;
	AUTO_FD int fd = task_connect(target->root, target->sandbox, &ignored);

	request.id = pb_str(target->id);
	request.exec_id = pb_str(target->exec_id);
	if (fd >= 0 &&
	    task_call(fd, "Delete", &request.base, NULL, NULL, &ignored) < 0)
		log_debug("proxy: %s", ignored.text);
}

int proxy_run(const struct proxy_target *target, struct err *err)
{
	struct run run = {.target = target, .status = -1};
	AUTO_FD int signal_fd = -1;
	sigset_t set;
	int ret;

	forwarded(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	run.loop = evloop_new();
	if (signal_fd < 0 || !run.loop)
		ret = err_sys(err, "event loop");
	else
		ret = run_loop(&run, signal_fd, err);
	if (ret >= 0 && *target->exec_id)
		forget_exec(target);
	ttrpc_client_free(run.client);
	evloop_free(run.loop);
	return ret;
}

/* Keeps the terminal and the pipe, puts /dev/null in place of stdio. */
static void detach(const struct proxy_target *target, int go)
{
	int keep[] = {MIN(target->tty, go), MAX(target->tty, go)};
	unsigned next = 3;
	int null = open("/dev/null", O_RDWR);

	/* A descriptor of the log is not kept: its reader may wait for the
	 * end of file, as podman does. */
	for (int i = 0; i < 3; i++)
		if (null != i && i != target->tty && i != go)
			dup2(null, i);
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++) {
		if (keep[i] < 3)
			continue;
		if (keep[i] > (int)next)
			close_range(next, (unsigned)keep[i] - 1, 0);
		next = (unsigned)keep[i] + 1;
	}
	close_range(next, ~0u, 0);
}

static void NORETURN proxy_main(const struct proxy_target *target, int go)
{
	struct err err;
	char word;
	int ret;

	prctl(PR_SET_NAME, "nacre-proxy");
	setsid();
	if (target->tty >= 0)
		ioctl(target->tty, TIOCSCTTY, 0);
	detach(target, go);
	log_open(-1, LOG_TEXT, LOG_ERROR, "nacre");
	if (read_full(go, &word, 1) < 0)
		_exit(1);
	close(go);
	ret = proxy_run(target, &err);
	_exit(ret < 0 ? STATUS_LOST : ret);
}

int proxy_fork(struct proxy *proxy, const struct proxy_target *target,
	       struct err *err)
{
	int pipe_fds[2];
	sigset_t set, old;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return err_sys(err, "pipe");
	/* What comes before the proxy listens must wait, not kill it. */
	forwarded(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	proxy->pid = fork();
	if (proxy->pid == 0)
		proxy_main(target, pipe_fds[0]);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(pipe_fds[0]);
	proxy->go = pipe_fds[1];
	if (proxy->pid < 0) {
		close(steal_fd(&proxy->go));
		return err_sys(err, "fork");
	}
	return 0;
}

int proxy_go(struct proxy *proxy, struct err *err)
{
	int ret = write_full(proxy->go, "g", 1);

	close(steal_fd(&proxy->go));
	return ret < 0 ? err_ret(err, ret, "proxy process") : 0;
}

void proxy_abandon(struct proxy *proxy)
{
	if (proxy->go < 0)
		return;
	close(steal_fd(&proxy->go));
	waitpid(proxy->pid, NULL, 0);
}
