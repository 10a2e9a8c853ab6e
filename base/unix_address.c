/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unix_address.h"

#include <stdio.h>
#include <sys/socket.h>

#include "base/err.h"

struct sockaddr_un unix_address(int dir, const char *name)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path),
			 "/proc/self/fd/%d/%s", dir, name);

	BUG_ON(n < 0 || (size_t)n >= sizeof(addr.sun_path));
	return addr;
}
