/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/agent/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"

int clock_set(int64_t sec, int64_t usec, struct err *err)
{
	struct timespec ts = {.tv_sec = sec, .tv_nsec = usec * 1000};

	if (sec < 0 || usec < 0 || usec >= 1000000)
		return err_set(err, EINVAL, "time: out of range");
	return clock_settime(CLOCK_REALTIME, &ts) < 0
		       ? err_sys(err, "clock_settime")
		       : 0;
}

int entropy_add(const void *data, size_t len, struct err *err)
{
	AUTO_FREE struct rand_pool_info *info = NULL;
	AUTO_FD int fd = -1;

	if (len == 0 || len > ENTROPY_MAX)
		return err_set(err, EINVAL, "entropy: %zu bytes, not 1..%d",
			       len, ENTROPY_MAX);
	info = calloc(1, sizeof(*info) + len + sizeof(uint32_t));
	if (!info)
		return err_set(err, ENOMEM, "entropy: out of memory");
	info->entropy_count = (int)len * 8;
	info->buf_size = (int)len;
	memcpy(info->buf, data, len);
	fd = open("/dev/random", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open /dev/random");
	if (ioctl(fd, RNDADDENTROPY, info) < 0)
		return err_sys(err, "RNDADDENTROPY");
	if (ioctl(fd, RNDRESEEDCRNG) < 0)
		return err_sys(err, "RNDRESEEDCRNG");
	return 0;
}
