/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/agent/ids.h"

/* Those of the ipc, uts and net namespaces; a final '/' takes all below. */
static const char *const allowed[] = {
	"fs/mqueue/",
	"kernel/domainname",
	"kernel/hostname",
	"kernel/msg_next_id",
	"kernel/msgmax",
	"kernel/msgmnb",
	"kernel/msgmni",
	"kernel/sem",
	"kernel/sem_next_id",
	"kernel/shm_next_id",
	"kernel/shm_rmid_forced",
	"kernel/shmall",
	"kernel/shmmax",
	"kernel/shmmni",
	"net/",
};

bool sysctl_path(const char *key, char *out, size_t size)
{
	size_t len = strlen(key);
	/* As sysctl(8): the first separator says which one separates, so
	 * that names of interfaces can have dots. */
	bool slashes = key[strcspn(key, "./")] == '/';

	if (len == 0 || len >= size)
		return false;
	for (size_t i = 0; i <= len; i++) {
		char c = key[i];

		if (!slashes && (c == '.' || c == '/'))
			c = c == '.' ? '/' : '.';
		out[i] = c;
	}
	/* No empty component, no "." and no "..". */
	for (const char *p = out;; p++) {
		size_t n = strcspn(p, "/");

		if (n == 0 || (n <= 2 && strspn(p, ".") >= n))
			return false;
		p += n;
		if (!*p)
			break;
	}
	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++) {
		size_t n = strlen(allowed[i]);

		if (allowed[i][n - 1] == '/' ? strncmp(out, allowed[i], n) == 0
					     : strcmp(out, allowed[i]) == 0)
			return true;
	}
	return false;
}

int sysctl_apply(Oci__Pair *const *pairs, size_t n, struct err *err)
{
	AUTO_FD int dir = -1;

	if (n == 0)
		return 0;
	dir = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "sysctl: open /proc/sys");
	for (size_t i = 0; i < n; i++) {
		char path[256];
		int ret;

		if (!sysctl_path(pairs[i]->key, path, sizeof(path)))
			return err_set(err, EINVAL,
				       "sysctl %.128s: not of a namespace",
				       pairs[i]->key);
		ret = file_write(dir, path, pairs[i]->value);
		if (ret < 0)
			return err_ret(err, ret, "sysctl %.128s",
				       pairs[i]->key);
	}
	return 0;
}
