/* SPDX-License-Identifier: Apache-2.0 */
#include "netns/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/log.h"

#define VNET_HEADER_LEN 12

void tap_name(unsigned i, char *out)
{
	snprintf(out, IFNAMSIZ, "tap%u_nacre", i);
}

bool tap_name_is_ours(const char *name)
{
	unsigned i;
	char want[IFNAMSIZ];

	if (sscanf(name, "tap%2u_nacre", &i) != 1)
		return false;
	tap_name(i, want);
	return strcmp(name, want) == 0;
}

static int set_ifreq(int sock, unsigned long request, struct ifreq *ifr,
		     const char *what, struct err *err)
{
	if (ioctl(sock, request, ifr) < 0)
		return err_sys(err, "%.16s: setting its %s", ifr->ifr_name,
			       what);
	return 0;
}

/* The namespace's own IPv6 would talk to the guest: solicitations, MLD. */
static void silence_ipv6(const char *name)
{
	char path[96];
	int r;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6",
		 name);
	r = file_write(AT_FDCWD, path, "1");
	if (r < 0 && r != -ENOENT)
		log_debug("%s: %s", path, strerror(-r));
}

static int configure(const char *name, uint32_t mtu, struct err *err)
{
	AUTO_FD int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {0};
	int r;

	if (sock < 0)
		return err_sys(err, "%s: socket", name);
	silence_ipv6(name);
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	ifr.ifr_mtu = (int)mtu;
	r = set_ifreq(sock, SIOCSIFMTU, &ifr, "MTU", err);
	if (r < 0)
		return r;
	ifr.ifr_flags = IFF_UP;
	return set_ifreq(sock, SIOCSIFFLAGS, &ifr, "state", err);
}

int tap_open(const char *name, uint32_t mtu, struct err *err)
{
	const unsigned flags =
		IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL;
	struct ifreq ifr = {.ifr_flags = (short)flags};
	AUTO_FD int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	int header = VNET_HEADER_LEN;
	int r;

	if (fd < 0 && (errno == ENOENT || errno == ENODEV || errno == ENXIO))
		return err_sys(err, "/dev/net/tun: is the tun module there?");
	if (fd < 0)
		return err_sys(err, "/dev/net/tun");
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0)
		return err_sys(err, "making tap %s", name);
	if (ioctl(fd, TUNSETVNETHDRSZ, &header) < 0)
		return err_sys(err, "tap %s: header of %d bytes", name, header);
	r = configure(name, mtu, err);
	return r < 0 ? r : steal_fd(&fd);
}
