/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/virtiofs/hostile_watch.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "integration/virtiofs/hostile_link.h"

static const char *pid = "self";

void watch_process(const char *process)
{
	pid = process;
}

unsigned watch_descriptors(void)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	if (!dir)
		link_die("the server is gone");
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

/* Mappings that are not dumped ("dd") are the guest's memory. */
unsigned long watch_memory(void)
{
	unsigned long kib = 0, mapping = 0;
	char path[64], line[512];
	FILE *f;

	if (!strcmp(pid, "self"))
		return 0;
	snprintf(path, sizeof(path), "/proc/%s/smaps", pid);
	f = fopen(path, "re");
	if (!f)
		link_die("the server is gone");
	while (fgets(line, sizeof(line), f)) {
		(void)!sscanf(line, "Anonymous: %lu", &mapping);
		if (!strncmp(line, "VmFlags:", 8) && !strstr(line, " dd "))
			kib += mapping;
	}
	fclose(f);
	return kib;
}

int watch_host(void)
{
	return getpid();
}
