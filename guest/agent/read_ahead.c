/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/read_ahead.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/log.h"

void read_ahead_enlarge(const char *path)
{
	char file[64], value[16];
	struct statx stx;
	int ret;

	/* Nothing that the host would be asked for. */
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, 0, &stx) < 0)
		return;
	snprintf(file, sizeof(file), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 stx.stx_dev_major, stx.stx_dev_minor);
	snprintf(value, sizeof(value), "%u", READ_AHEAD_KIB);
	ret = file_write(AT_FDCWD, file, value);
	if (ret < 0)
		log_debug("%s: %s", file, strerror(-ret));
}
