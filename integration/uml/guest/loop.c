/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Processes that make calls without end, each of which would show if the host
 * took it: descriptor 1 is the guest's /dev/null here and the console there.
 * One more only computes. "grow" on the command line: yet another takes ever
 * more memory.
 */

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
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

/* Slowly: the host needs time to set the limit that is to be run into. */
static void grow(void)
{
	const size_t len = 65536;

	for (;;) {
		char *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p != MAP_FAILED)
			memset(p, 1, len);
		poll(NULL, 0, 1);
	}
}

int main(int argc, char **argv)
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
	if (argc > 1 && strcmp(argv[1], "grow") == 0 && fork() == 0)
		grow();
	(void)!write(out, line, sizeof(line) - 1);
	for (;;)
		pause();
}
