/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/beside.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/signals.h"

static NORETURN void child(const char *name, int end, void (*run)(const void *),
			   const void *arg)
{
	prctl(PR_SET_NAME, name);
	signals_reset();
	if (dup2(end, STDIN_FILENO) < 0 ||
	    syscall(SYS_close_range, 3u, ~0u, 0u) < 0)
		_exit(1);
	run(arg);
	_exit(0);
}

int beside_start(const char *name, const int pair[2], void (*run)(const void *),
		 const void *arg)
{
	pid_t pid = fork();
	int ret = pid < 0 ? -errno : 0;

	if (pid == 0)
		child(name, pair[1], run, arg);
	close(pair[1]);
	return ret;
}

void beside_tell(const void *data, size_t len)
{
	if (write(STDIN_FILENO, data, len) != (ssize_t)len)
		_exit(1);
}
