/* SPDX-License-Identifier: Apache-2.0 */
/*
 * probe [ARGUMENT...]: the state of the container it is the first process of.
 * It is linked statically, so that any root file system will do.
 */
#include "integration/compare/probe.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void put_plain(const char *text)
{
	for (const char *p = text; *p; p++) {
		if (isprint((unsigned char)*p) && *p != '\\')
			putchar(*p);
		else
			printf("\\x%02x", (unsigned char)*p);
	}
}

void tell(const char *key, const char *fmt, ...)
{
	char text[8192];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	put_plain(key);
	putchar('=');
	put_plain(text);
	putchar('\n');
}

void tell_file(const char *key, const char *path)
{
	char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0) {
		tell(key, "%s", strerrorname_np(errno));
	} else {
		while (n > 0 && text[n - 1] == '\n')
			n--;
		text[n] = '\0';
		tell(key, "%s", text);
	}
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	probe_process(argc, argv);
	probe_mounts();
	probe_cgroup();
	probe_tree();
	probe_calls();
	/* Makes nodes: after all that looks at the tree. */
	probe_devices();
	return fflush(stdout) == 0 ? 0 : 1;
}
