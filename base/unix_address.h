/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_UNIX_ADDRESS_H
#define BASE_UNIX_ADDRESS_H

#include <sys/un.h>

/* Of a Unix socket, name below the directory that dir is a descriptor of. By
 * way of /proc, as paths may be longer than sun_path; name must not be. */
struct sockaddr_un unix_address(int dir, const char *name);

#endif
