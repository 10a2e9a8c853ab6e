/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: vm [-w WORKERS] [-q QUEUES] [-c CACHE] [-b] [-p PART/PARTS]
 *	     [-n OPERATIONS] [-l SECONDS] [-t SECONDS] KERNEL INITRAMFS TREE
 *
 * A user-mode machine with TREE on a virtio-fs device; INITRAMFS has guest.c
 * as init. -b: writeback; -p: of conform's cases, all without; -n: of each
 * fsx; -l: of the other loads, none without; -t: it takes no longer. Prints the
 * guest's console and a verdict.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integration/uml/machine.h"
#include "virtiofs/virtiofs.h"

#define TIMEOUT_S 300u
#define LOAD_MEMORY (512ull << 20)

static enum virtiofs_cache cache_of(const char *name)
{
	static const char *const names[] = {"never", "auto", "metadata",
					    "always"};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(name, names[i]) == 0)
			return (enum virtiofs_cache)i;
	}
	fprintf(stderr, "vm: no cache policy %s\n", name);
	exit(2);
}

static void verdict(const struct test_machine *t, bool load)
{
	bool good = test_report(t->over && t->reason == VM_EXIT_SHUTDOWN,
				"the end: %s", t->text);

	good &= test_report(strstr(t->console, "conform exits with 0") != NULL,
			    "conform");
	good &= test_report(strstr(t->console, "fsx one exits with 0") != NULL,
			    "fsx");
	good &= test_report(strstr(t->console, "fsx two exits with 0") != NULL,
			    "fsx, at the same time");
	if (load)
		good &= test_report(strstr(t->console, "load exits with 0") !=
					    NULL,
				    "fio and stress-ng, at the same time");
	good &= test_report(strstr(t->console, "guest: done") != NULL, "done");
	if (!good)
		printf("%s\n", t->console);
}

static void print_lines(const struct test_machine *t, const char *start)
{
	const char *at = t->console;

	while ((at = strstr(at, start))) {
		printf("  %.*s\n", (int)strcspn(at, "\r\n"), at);
		at++;
	}
}

struct options {
	struct virtiofs_config fs;
	const char *operations;
	const char *load;
	const char *part;
	unsigned timeout;
	char **paths; /* of kernel, initramfs and tree */
};

static void usage(void)
{
	fprintf(stderr, "usage: vm [-w WORKERS] [-q QUEUES] [-c CACHE] [-b] "
			"[-p PART/PARTS] [-n OPERATIONS] [-l SECONDS] "
			"[-t SECONDS] KERNEL INITRAMFS TREE\n");
	exit(2);
}

static void parse(struct options *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "w:q:c:bp:n:l:t:")) >= 0) {
		if (opt == 'w')
			o->fs.workers = (unsigned)atoi(optarg);
		else if (opt == 'q')
			o->fs.request_queues = (unsigned)atoi(optarg);
		else if (opt == 'c')
			o->fs.cache = cache_of(optarg);
		else if (opt == 'b')
			o->fs.writeback = true;
		else if (opt == 'p')
			o->part = optarg;
		else if (opt == 'n')
			o->operations = optarg;
		else if (opt == 'l')
			o->load = optarg;
		else if (opt == 't')
			o->timeout = (unsigned)atoi(optarg);
		else
			usage();
	}
	if (argc - optind != 3)
		usage();
	o->paths = argv + optind;
}

int main(int argc, char **argv)
{
	struct options o = {
		.fs =
			{
				.proc_fd = -1,
				.tag = "test",
				.cache = VIRTIOFS_CACHE_AUTO,
				.xattr = true,
			},
		.operations = "5000",
		.timeout = TIMEOUT_S,
	};
	struct test_machine *t;
	struct virtio_device *dev;
	struct err err = {0};
	bool uncached;
	char cmdline[128];

	parse(&o, argc, argv);
	uncached = o.fs.cache == VIRTIOFS_CACHE_NEVER ||
		   o.fs.cache == VIRTIOFS_CACHE_METADATA;
	snprintf(cmdline, sizeof(cmdline), "quiet fsx=%s%s%s%s%s%s",
		 o.operations, o.load ? " load=" : "", o.load ? o.load : "",
		 o.part ? " part=" : "", o.part ? o.part : "",
		 uncached ? " uncached=1" : "");
	test_kernel = o.paths[0];
	if (o.load)
		test_memory = LOAD_MEMORY;
	o.fs.root_fd = open(o.paths[2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	t = test_machine_new(o.paths[1], cmdline, &err);
	test_report(t != NULL, "machine %s", err.text);
	if (!t)
		return test_summary();
	dev = virtiofs_device_new(&o.fs, &err);
	if (test_report(dev != NULL, "device %s", err.text) &&
	    test_report(vm_add_device(t->vm, dev, &err) == 0, "plugged %s",
			err.text) &&
	    test_report(vm_start(t->vm, &err) == 0, "started %s", err.text)) {
		test_machine_wait(t, NULL, o.timeout * 1000);
		print_lines(t, "skipped ");
		print_lines(t, "time: ");
		verdict(t, o.load != NULL);
	}
	test_machine_free(t);
	return test_summary();
}
