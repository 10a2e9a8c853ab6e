/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"
#include "guest/agent/ids.h"

static int load_file(int dir, const char *file, const char *parameters)
{
	AUTO_FD int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (syscall(SYS_finit_module, fd, parameters, 0) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int module_load(const char *name, char *const *parameters, size_t n,
		struct err *err)
{
	AUTO_FD int dir = -1;
	char file[ID_MAX + 4], text[1024] = "";
	size_t len = 0;
	int ret;

	if (!id_valid(name))
		return err_set(err, EINVAL, "module: name not usable");
	for (size_t i = 0; i < n; i++) {
		int add = snprintf(text + len, sizeof(text) - len, "%s%s",
				   len ? " " : "", parameters[i]);

		if (add < 0 || (size_t)add >= sizeof(text) - len)
			return err_set(err, E2BIG,
				       "module %s: too many parameters", name);
		len += (size_t)add;
	}
	dir = open(MODULES_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_sys(err, "module %s: %s", name, MODULES_DIR);
	(void)snprintf(file, sizeof(file), "%s.ko", name);
	ret = load_file(dir, file, text);
	return ret < 0 ? err_ret(err, ret, "module %s", name) : 0;
}

static int64_t processor_us(void)
{
	struct timespec used;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
	return (int64_t)used.tv_sec * 1000000 + used.tv_nsec / 1000;
}

void modules_load_all(void)
{
	int64_t from = processor_us();
	AUTO_FD int dir = open(MODULES_DIR, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FREE char *order = NULL;
	char *save = NULL;

	if (dir < 0 || file_read(dir, "order", 1u << 16, &order, NULL) < 0)
		return;
	for (char *name = strtok_r(order, "\n", &save); name;
	     name = strtok_r(NULL, "\n", &save)) {
		int ret = load_file(dir, name, "");

		if (ret < 0)
			log_warn("module %s: %s", name, strerror(-ret));
	}
	/* The kernel's work, and far more of it than all of the agent's. */
	log_info("modules: %" PRId64 " us of a processor",
		 processor_us() - from);
}
