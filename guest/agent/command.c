/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/command.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/signals.h"
#include "guest/agent/agent.h"

static void close_end(struct evsource *src)
{
	int fd = src->fd;

	if (!src->loop)
		return;
	evsource_del(src);
	close(fd);
	src->fd = -1;
}

static void release(struct command *cmd)
{
	close_end(&cmd->in);
	close_end(&cmd->out);
	evtimer_release(&cmd->limit);
	free(steal_ptr(&cmd->input));
}

static void unlink_command(struct command *cmd)
{
	struct command **at = &cmd->agent->commands;

	while (*at != cmd)
		at = &(*at)->next;
	*at = cmd->next;
}

static void feed(struct evsource *src, uint32_t revents)
{
	struct command *cmd = container_of(src, struct command, in);
	ssize_t n = write(src->fd, cmd->input + cmd->input_at,
			  cmd->input_len - cmd->input_at);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		cmd->input_at += (size_t)n;
	/* A program need not read its input. */
	if (n < 0 || cmd->input_at == cmd->input_len)
		close_end(src);
}

/* What is in the pipe now; beyond the maximum it is dropped. */
static void drain(struct evsource *src, uint32_t revents)
{
	struct command *cmd = container_of(src, struct command, out);
	char buf[4096];

	for (;;) {
		ssize_t n = read(src->fd, buf, sizeof(buf));
		char *grown;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close_end(src);
			return;
		}
		if (cmd->output_len + (size_t)n > COMMAND_OUTPUT_MAX)
			continue;
		grown = realloc(cmd->output, cmd->output_len + (size_t)n);
		if (!grown)
			continue;
		cmd->output = grown;
		memcpy(grown + cmd->output_len, buf, (size_t)n);
		cmd->output_len += (size_t)n;
	}
}

static void expired(struct evtimer *timer)
{
	/* Its end is told as any other. */
	kill(container_of(timer, struct command, limit)->pid, SIGKILL);
}

static void ended(struct command *cmd)
{
	char *output;
	struct err err = {0};
	int len;

	/* A child of its own may keep the pipe. */
	if (cmd->out.loop)
		drain(&cmd->out, 0);
	release(cmd);
	output = cmd->output;
	len = (int)MIN(cmd->output_len, (size_t)200);
	while (len > 0 && output[len - 1] == '\n')
		len--;
	if (WIFSIGNALED(cmd->status))
		(void)err_set(&err, ECANCELED, "ended by signal %d",
			      WTERMSIG(cmd->status));
	else if (WEXITSTATUS(cmd->status))
		(void)err_set(&err, ECANCELED, "exit status %d: %.*s",
			      WEXITSTATUS(cmd->status), len,
			      output ? output : "");
	cmd->done(cmd, err.code ? &err : NULL);
	free(output);
}

bool commands_exited(struct agent *agent, pid_t pid, int status)
{
	for (struct command *cmd = agent->commands; cmd; cmd = cmd->next) {
		if (cmd->pid != pid)
			continue;
		unlink_command(cmd);
		cmd->status = status;
		ended(cmd);
		return true;
	}
	return false;
}

static NORETURN void run(char *const *args, int in, int out)
{
	signals_reset();
	if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0 ||
	    syscall(SYS_close_range, 3u, ~0u, 0u) < 0)
		_exit(127);
	(void)setsid();
	execv(args[0], args);
	_exit(127);
}

/* Makes the pipes; theirs[] are the program's ends. */
static int open_pipes(struct command *cmd, int theirs[2])
{
	int in[2], out[2], ret;

	if (pipe2(in, O_CLOEXEC) < 0)
		return -errno;
	theirs[0] = in[0];
	if (pipe2(out, O_CLOEXEC) < 0) {
		ret = -errno;
		close(in[1]);
		return ret;
	}
	theirs[1] = out[1];
	if (fcntl(in[1], F_SETFL, O_NONBLOCK) < 0 ||
	    fcntl(out[0], F_SETFL, O_NONBLOCK) < 0)
		ret = -errno;
	else
		ret = evsource_add(cmd->agent->loop, &cmd->in, in[1], EPOLLOUT,
				   feed);
	if (ret < 0)
		close(in[1]);
	if (!ret)
		ret = evsource_add(cmd->agent->loop, &cmd->out, out[0], EPOLLIN,
				   drain);
	if (ret < 0)
		close(out[0]);
	return ret;
}

static int launch(struct command *cmd, char *const *args, unsigned limit_ms)
{
	AUTO_FD int in = -1, out = -1;
	int theirs[2] = {-1, -1};
	int ret = open_pipes(cmd, theirs);

	in = theirs[0];
	out = theirs[1];
	if (!ret)
		ret = evtimer_init(cmd->agent->loop, &cmd->limit, expired);
	if (ret < 0)
		return ret;
	cmd->pid = fork();
	if (cmd->pid == 0)
		run(args, in, out);
	if (cmd->pid < 0)
		return -errno;
	evtimer_start(&cmd->limit, limit_ms);
	return 0;
}

int command_start(struct agent *agent, struct command *cmd, char *const *args,
		  const void *input, size_t input_len, unsigned limit_ms,
		  void (*done)(struct command *cmd, const struct err *err),
		  struct err *err)
{
	int ret;

	*cmd = (struct command){.agent = agent, .done = done};
	cmd->in.fd = cmd->out.fd = cmd->limit.src.fd = -1;
	cmd->input = malloc(input_len + 1);
	if (!cmd->input)
		return err_set(err, ENOMEM, "%s: out of memory", args[0]);
	if (input_len)
		memcpy(cmd->input, input, input_len);
	cmd->input_len = input_len;
	ret = launch(cmd, args, limit_ms);
	if (ret < 0) {
		release(cmd);
		return err_ret(err, ret, "%s", args[0]);
	}
	cmd->next = agent->commands;
	agent->commands = cmd;
	return 0;
}
