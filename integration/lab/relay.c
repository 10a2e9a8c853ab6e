/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Carries a command's output and exit status out of the lab machine over one
 * virtio-serial port. One port, because the exit frame must arrive after the
 * last byte of both streams, and ports are not ordered among themselves.
 *
 *   relay run PORT JOB KEEP      in the machine, as PID 1: runs the command
 *                                that the files JOB/argv, JOB/env and JOB/cwd
 *                                describe, then syncs KEEP's file system
 *   relay show SECONDS RESULT    on the host: the port's bytes come in on
 *                                stdin; one line about the end goes to RESULT
 *   relay listen SOCKET CMD...   runs CMD with the listening SOCKET as
 *                                descriptor 3 and closes 4 when it is there
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum frame_kind {
	FRAME_STDOUT = 1,
	FRAME_STDERR = 2,
	FRAME_UP = 3,
	FRAME_EXIT = 4,	 /* len is the status, no payload */
	FRAME_ALIVE = 5, /* no payload */
};

struct frame {
	uint32_t kind; /* little endian, as len */
	uint32_t len;
};

#define CHUNK 32768 /* what the port's driver takes in one write */

/*
 * What a command leaves running may still hold its output: it gets this long
 * to end after the last byte it wrote, and that long in all.
 */
#define QUIET_MS 500
#define LINGER_MS 5000

/*
 * The machine says that it and the build machine's tree are there so often;
 * one that has not for so long hangs.
 */
#define PULSE_MS 5000
#define STUCK_MS 60000

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt,
								...)
{
	va_list ap;

	fputs("lab: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", strerror(errno));
	exit(1);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1,
			     -1);
			continue;
		}
		if (n < 0 && errno != EINTR)
			return -1;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* In the machine. */

struct job {
	int port;
	pid_t pid;
	int status;	      /* once pid is 0 */
	int64_t quiet;	      /* the time from which no byte has come */
	int64_t ended;	      /* the command's exit */
	struct pollfd fds[4]; /* stdout, stderr, SIGCHLD, pulse */
};

static void send_frame(int port, enum frame_kind kind, const void *data,
		       size_t len)
{
	struct {
		struct frame head;
		char data[CHUNK];
	} out = {.head = {htole32(kind), htole32((uint32_t)len)}};

	if (data)
		memcpy(out.data, data, len);
	if (write_all(port, &out, sizeof(out.head) + (data ? len : 0)))
		die("cannot write to the host");
}

/* Reads DIR/NAME, strings that end in NUL, as a vector that ends in NULL. */
static char **read_strings(const char *dir, const char *name)
{
	char path[4096], **strings;
	size_t n = 0, used = 0;
	struct stat st;
	char *text;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		die("%s", path);
	text = calloc(1, (size_t)st.st_size + 1);
	strings = calloc((size_t)st.st_size + 1, sizeof(*strings));
	if (!text || !strings || read(fd, text, (size_t)st.st_size) < 0)
		die("%s", path);
	close(fd);
	for (; used < (size_t)st.st_size; used += strlen(text + used) + 1)
		strings[n++] = text + used;
	return strings;
}

__attribute__((noreturn)) static void exec_command(const char *dir, int out,
						   int err)
{
	char **argv = read_strings(dir, "argv");
	char **env = read_strings(dir, "env");
	char **cwd = read_strings(dir, "cwd");
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
		die("dup2");
	clearenv();
	for (; *env; env++)
		putenv(*env);
	if (!argv[0] || !cwd[0] || chdir(cwd[0]))
		die("cwd");
	execvp(argv[0], argv);
	fprintf(stderr, "lab: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static void start_command(struct job *job, const char *dir)
{
	int out[2], err[2];

	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		die("pipe");
	job->pid = fork();
	if (job->pid < 0)
		die("fork");
	if (job->pid == 0)
		exec_command(dir, out[1], err[1]);
	close(out[1]);
	close(err[1]);
	job->fds[0] = (struct pollfd){.fd = out[0], .events = POLLIN};
	job->fds[1] = (struct pollfd){.fd = err[0], .events = POLLIN};
}

/*
 * Writes a byte each time that the tree answered; a process of its own, for a
 * tree that does not answer stops it. Names that never were are not cached.
 */
static void start_pulse(struct job *job, int tree)
{
	int beat[2];
	pid_t pid;

	if (pipe2(beat, O_CLOEXEC))
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	for (unsigned n = 0; pid == 0; n++) {
		char name[32];

		snprintf(name, sizeof(name), ".lab-pulse-%u", n);
		faccessat(tree, name, F_OK, 0);
		if (write(beat[1], "", 1) != 1)
			_exit(1);
		poll(NULL, 0, PULSE_MS);
	}
	close(beat[1]);
	job->fds[3] = (struct pollfd){.fd = beat[0], .events = POLLIN};
}

static void pass_pulse(struct job *job)
{
	char beat;

	if (read(job->fds[3].fd, &beat, 1) == 1)
		send_frame(job->port, FRAME_ALIVE, NULL, 0);
	else
		job->fds[3].fd = -1;
}

static void reap(struct job *job)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	if (read(job->fds[2].fd, &info, sizeof(info)) < 0)
		return;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != job->pid)
			continue;
		job->pid = 0;
		job->status = WIFEXITED(status) ? WEXITSTATUS(status)
						: 128 + WTERMSIG(status);
		job->ended = job->quiet = now_ms();
	}
}

static void forward(struct job *job, struct pollfd *from, enum frame_kind kind)
{
	char buf[CHUNK - sizeof(struct frame)];
	ssize_t n = read(from->fd, buf, sizeof(buf));

	if (n > 0) {
		send_frame(job->port, kind, buf, (size_t)n);
		job->quiet = now_ms();
	} else if (n == 0 || errno != EINTR) {
		close(from->fd);
		from->fd = -1;
	}
}

/* Returns when the command has ended and its output is on its way. */
static void follow(struct job *job)
{
	int killed = 0;

	for (;;) {
		int open = job->fds[0].fd >= 0 || job->fds[1].fd >= 0;
		int n;

		if (!job->pid && (!open || now_ms() > job->ended + LINGER_MS))
			return;
		n = poll(job->fds, 4, job->pid ? -1 : QUIET_MS);
		if (!job->pid && !killed && now_ms() >= job->quiet + QUIET_MS) {
			kill(-1, SIGKILL);
			killed = 1;
		}
		if (n <= 0)
			continue;
		if (job->fds[2].revents)
			reap(job);
		if (job->fds[3].revents)
			pass_pulse(job);
		if (job->fds[0].revents)
			forward(job, &job->fds[0], FRAME_STDOUT);
		if (job->fds[1].revents)
			forward(job, &job->fds[1], FRAME_STDERR);
	}
}

__attribute__((noreturn)) static void run(const char *port, const char *dir,
					  const char *keep)
{
	struct job job = {.port = open(port, O_WRONLY | O_CLOEXEC)};
	int keep_fd = open(keep, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	sigset_t child;

	if (job.port < 0)
		die("%s", port);
	if (keep_fd < 0)
		die("%s", keep);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	job.fds[2] = (struct pollfd){
		.fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK),
		.events = POLLIN,
	};
	if (job.fds[2].fd < 0)
		die("signalfd");

	send_frame(job.port, FRAME_UP, NULL, 0);
	start_pulse(&job, keep_fd);
	start_command(&job, dir);
	follow(&job);
	/* Pages that a command dirtied through a mapping. */
	syncfs(keep_fd);
	send_frame(job.port, FRAME_EXIT, NULL, (size_t)job.status);
	/* The host ends the machine; a PID 1 that ended would be a panic. */
	for (;;)
		pause();
}

/* On the host. */

struct stream {
	int64_t deadline;
	int64_t heard; /* the last byte */
	FILE *result;
	int up;
};

__attribute__((noreturn)) static void conclude(struct stream *s,
					       const char *word, unsigned arg)
{
	fprintf(s->result, "%s %u\n", word, arg);
	exit(fclose(s->result) ? 1 : 0);
}

static void take(struct stream *s, void *data, size_t len)
{
	char *p = data;

	while (len > 0) {
		int64_t left = s->deadline - now_ms();
		struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
		ssize_t n;

		if (left <= 0)
			conclude(s, s->up ? "timeout" : "down", 0);
		if (s->up && now_ms() - s->heard > STUCK_MS)
			conclude(s, "stuck", STUCK_MS / 1000);
		if (poll(&in, 1, left > 10000 ? 10000 : (int)left) <= 0)
			continue;
		n = read(STDIN_FILENO, p, len);
		s->heard = now_ms();
		if (n == 0)
			conclude(s, "died", 0);
		if (n < 0 && errno != EINTR)
			die("cannot read from the machine");
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

__attribute__((noreturn)) static void show(const char *seconds,
					   const char *result)
{
	struct stream s = {
		.deadline = now_ms() + strtol(seconds, NULL, 10) * 1000,
		.result = fopen(result, "we"),
	};
	static char data[CHUNK];
	struct frame head;

	if (!s.result)
		die("%s", result);
	for (;;) {
		uint32_t kind, len;

		take(&s, &head, sizeof(head));
		kind = le32toh(head.kind);
		len = le32toh(head.len);
		if (kind == FRAME_EXIT)
			conclude(&s, "exit", len);
		if (kind == FRAME_ALIVE && len == 0)
			continue;
		if (kind == FRAME_UP && len == 0) {
			s.up = 1;
			continue;
		}
		if ((kind != FRAME_STDOUT && kind != FRAME_STDERR) ||
		    len > sizeof(data))
			conclude(&s, "garbled", kind);
		take(&s, data, len);
		if (write_all(kind == FRAME_STDOUT ? STDOUT_FILENO
						   : STDERR_FILENO,
			      data, len))
			die("cannot pass on the command's output");
	}
}

__attribute__((noreturn)) static void listen_then(const char *path, char **cmd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	if (strlen(path) >= sizeof(addr.sun_path)) {
		errno = ENAMETOOLONG;
		die("%s", path);
	}
	strcpy(addr.sun_path, path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(fd, 1))
		die("%s", path);
	if (fd != 3) {
		if (dup2(fd, 3) < 0)
			die("dup2");
		close(fd);
	}
	close(4);
	execvp(cmd[0], cmd);
	die("%s", cmd[0]);
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "run"))
		run(argv[2], argv[3], argv[4]);
	if (argc == 4 && !strcmp(argv[1], "show"))
		show(argv[2], argv[3]);
	if (argc >= 4 && !strcmp(argv[1], "listen"))
		listen_then(argv[2], argv + 3);
	fputs("usage: relay run PORT JOB KEEP | show SECONDS RESULT |"
	      " listen SOCKET COMMAND...\n",
	      stderr);
	return 2;
}
