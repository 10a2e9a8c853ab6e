/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Processes that make calls without end, each of which would show if the host
 * took it: descriptor 1 is the guest's /dev/null here and the console there.
 * One more only computes.
 */

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

static void call_on(void)
{
	static const char text[] = "NATIVE CALL\n";

	for (;;) {
		int fd = open("/escaped", O_CREAT | O_WRONLY, 0600);

		(void)!write(1, text, sizeof(text) - 1);
		if (fd >= 0)
			close(fd);
	}
}

static void compute(void)
{
	for (volatile unsigned long n = 0;; n++)
		;
}

int main(void)
{
	static const char line[] = "init runs\n";
	int null, out = dup(1);

	mount("dev", "/dev", "devtmpfs", 0, NULL);
	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 1) < 0)
		return 1;
	for (int i = 0; i < 3; i++)
		if (fork() == 0)
			call_on();
	if (fork() == 0)
		compute();
	(void)!write(out, line, sizeof(line) - 1);
	for (;;)
		pause();
}
