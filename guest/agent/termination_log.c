/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/termination_log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "guest/agent/beside.h"
#include "guest/agent/beside_call.h"
#include "guest/agent/ids.h"
#include "guest/agent/mounts.h"
#include "guest/agent/rpc.h"

/* What the process tells. */
struct answer {
	int ret;
	struct err err;
	char text[TERMINATION_LOG_MAX + 1];
};

static const char *annotated_path(const Oci__Spec *spec)
{
	static const char key[] =
		"io.kubernetes.container.terminationMessagePath";

	for (size_t i = 0; i < spec->n_annotations; i++) {
		if (strcmp(spec->annotations[i]->key, key) == 0)
			return spec->annotations[i]->value;
	}
	return NULL;
}

const char *termination_log_source(const Oci__Spec *spec)
{
	const char *path = annotated_path(spec), *source = NULL;
	struct mount_options options;
	struct err err;

	for (size_t i = 0; path && i < spec->n_mounts; i++) {
		const Oci__Mount *m = spec->mounts[i];

		if (strcmp(m->destination, path) != 0)
			continue;
		/* The last one hides those before it. */
		source = mount_options_parse(m->options, m->n_options, &options,
					     &err) == 0 &&
					 mount_wants_bind(m, &options) &&
					 path_valid(m->source)
				 ? m->source
				 : NULL;
	}
	return source;
}

static int open_source(const char *source)
{
	struct open_how how = {
		/* What a container puts there may be a FIFO. */
		.flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK |
			 O_NOCTTY,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	long fd;

	do { /* EAGAIN: a rename went on meanwhile */
		fd = syscall(SYS_openat2, AT_FDCWD, source, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	return fd < 0 ? -errno : (int)fd;
}

/* The last bytes of fd: how many, or -errno. */
static ssize_t read_end(int fd, char *text)
{
	struct stat st;
	size_t len = 0;
	ssize_t n = 1;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > TERMINATION_LOG_MAX &&
	    lseek(fd, st.st_size - TERMINATION_LOG_MAX, SEEK_SET) < 0)
		return -errno;
	while (n > 0 && len < TERMINATION_LOG_MAX) {
		n = read(fd, text + len, TERMINATION_LOG_MAX - len);
		if (n < 0 && errno != EINTR)
			return -errno;
		len += n > 0 ? (size_t)n : 0;
		n = n < 0 ? 1 : n;
	}
	return (ssize_t)len;
}

/* Only UTF-8 without NUL fits into the protocol's string. */
static void make_text(char *text, size_t len)
{
	for (size_t i = 0; i < len;) {
		size_t n = text[i] ? utf8_char(text + i, len - i) : 0;

		if (!n)
			text[i] = '?';
		i += n ? n : 1;
	}
	text[len] = '\0';
}

int termination_log_read(const char *source, char text[TERMINATION_LOG_MAX + 1],
			 struct err *err)
{
	AUTO_FD int fd = open_source(source);
	ssize_t n;

	text[0] = '\0';
	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return err_ret(err, fd, "termination log");
	n = read_end(fd, text);
	if (n == -EINVAL)
		return err_set(err, EINVAL,
			       "termination log: not a regular file");
	if (n < 0)
		return err_ret(err, (int)n, "termination log");
	make_text(text, (size_t)n);
	return 0;
}

static void run(const void *source)
{
	static struct answer a;

	a.ret = termination_log_read(source, a.text, &a.err);
	beside_tell(&a, sizeof(a));
}

static void reply(struct ttrpc_request *req, const void *answer)
{
	Agent__GetDiagnosticDataResponse msg =
		AGENT__GET_DIAGNOSTIC_DATA_RESPONSE__INIT;
	static struct answer a;

	memcpy(&a, answer, sizeof(a));
	if (a.ret < 0) {
		rpc_reply_ret(req, a.ret, &a.err);
		return;
	}
	msg.data = a.text;
	ttrpc_reply(req, &msg.base);
}

void termination_log_reply(struct evloop *loop, struct ttrpc_request *req,
			   const char *source)
{
	static const struct beside_call_kind kind = {
		.process = "nacre-log",
		.what = "termination log",
		.run = run,
		.answer_size = sizeof(struct answer),
		.reply = reply,
	};

	beside_call(loop, req, &kind, source);
}
