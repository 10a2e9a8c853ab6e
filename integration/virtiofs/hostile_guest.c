/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The first process of a guest that wants out: it takes the guest's virtio-fs
 * device, drives it as hostile_main.c does, and powers off. What happens on the
 * host is the part of hostile_host.c. Its environment is of the kernel's
 * command line, which has hugepages=16 as well:
 *
 *	HOSTILE_PATH		of the share in the device's tree
 *	HOSTILE_MEMORY		MiB that the guest has
 *	HOSTILE_TITLE		what its lines say
 *	HOSTILE_SECONDS, _SEED	of the random groups
 *	HOSTILE_WITH		letters: H, file handles in place of
 *				descriptors; D, a DAX window; L, a limit for the
 *				size of files of 128 MiB
 *	HOSTILE_ONLY		one group alone
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "integration/virtiofs/hostile.h"
#include "integration/virtiofs/hostile_all.h"
#include "integration/virtiofs/hostile_driver.h"
#include "integration/virtiofs/hostile_far.h"
#include "integration/virtiofs/hostile_watch.h"

/* exit(3) and link_die() lead here: nothing else ends this guest. */
static void power_off(void)
{
	char c;

	fflush(stdout);
	/* The host has it all when it hangs up. */
	if (shutdown(STDOUT_FILENO, SHUT_WR) == 0)
		while (read(STDOUT_FILENO, &c, 1) > 0)
			;
	reboot(RB_POWER_OFF);
}

void link_die(const char *what)
{
	fprintf(stderr, "hostile: %s: %s\n", what, strerror(errno));
	exit(1);
}

static const char *variable(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value ? value : otherwise;
}

static void mounts(void)
{
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	if (mount("proc", "/proc", "proc", 0, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		link_die("mount");
}

static void options(void)
{
	const char *with = variable("HOSTILE_WITH", "");

	hostile.path = variable("HOSTILE_PATH", "");
	hostile.no_fds = strchr(with, 'H') != NULL;
	hostile.dax = strchr(with, 'D') != NULL;
	hostile.size_limit = strchr(with, 'L') != NULL;
	/* In the lab, all takes its time. */
	hostile.rounds = 60;
	hostile.seconds = (unsigned)atoi(variable("HOSTILE_SECONDS", "1"));
	hostile.seed = strtoull(variable("HOSTILE_SEED", "1"), NULL, 0);
}

int main(void)
{
	uint64_t memory = strtoull(variable("HOSTILE_MEMORY", "128"), NULL, 0);
	unsigned bad;

	atexit(power_off);
	mounts();
	options();
	far_accept();
	driver_start(memory << 20);
	bad = hostile_all(variable("HOSTILE_TITLE", "guest"),
			  getenv("HOSTILE_ONLY"));
	printf("# the server has %u descriptors and %lu KiB of its own\n",
	       watch_descriptors(), watch_memory());
	if (bad)
		printf("# again with the seed %llu\n",
		       (unsigned long long)hostile.seed);
	far_end(bad);
	return 0;
}
