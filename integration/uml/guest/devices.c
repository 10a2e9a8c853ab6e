/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Uses one device of each kind and says what came of it: writes to the
 * virtio-console, copies the first disk's first 64 KiB to its second, has a
 * line echoed by port 5000 of the host.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define DATA_LEN 65536

static int fail(const char *what)
{
	dprintf(1, "%s: %s\n", what, strerror(errno));
	return -1;
}

static int use_console(void)
{
	static const char text[] = "by virtio-console\n";
	int fd = open("/dev/hvc0", O_WRONLY);

	if (fd < 0 || write(fd, text, sizeof(text) - 1) < 0)
		return fail("/dev/hvc0");
	close(fd);
	return 0;
}

static int use_blk(void)
{
	static char data[DATA_LEN];
	int from = open("/dev/vda", O_RDONLY), to = open("/dev/vdb", O_WRONLY);
	size_t have = 0;

	if (from < 0 || to < 0)
		return fail("/dev/vd?");
	while (have < sizeof(data)) {
		ssize_t n = read(from, data + have, sizeof(data) - have);

		if (n <= 0)
			return fail("/dev/vda");
		have += (size_t)n;
	}
	if (write(to, data, sizeof(data)) != sizeof(data) || fsync(to) < 0)
		return fail("/dev/vdb");
	return 0;
}

static int use_vsock(void)
{
	static const char text[] = "echo by vsock";
	struct sockaddr_vm addr = {
		.svm_family = AF_VSOCK,
		.svm_cid = VMADDR_CID_HOST,
		.svm_port = 5000,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);
	char back[sizeof(text)];
	size_t have = 0;

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return fail("vsock: connect");
	if (write(fd, text, sizeof(text)) != sizeof(text))
		return fail("vsock: write");
	while (have < sizeof(back)) {
		ssize_t n = read(fd, back + have, sizeof(back) - have);

		if (n <= 0)
			return fail("vsock: read");
		have += (size_t)n;
	}
	close(fd);
	return memcmp(back, text, sizeof(text)) == 0 ? 0 : -1;
}

int main(void)
{
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) < 0)
		fail("devtmpfs");
	dprintf(1, "console: %s\n", use_console() < 0 ? "failed" : "done");
	dprintf(1, "blk: %s\n", use_blk() < 0 ? "failed" : "done");
	dprintf(1, "vsock: %s\n", use_vsock() < 0 ? "failed" : "done");
	dprintf(1, "init runs\n");
	reboot(RB_POWER_OFF);
	return 1;
}
