/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: vm [-w WORKERS] [-q QUEUES] [-c CACHE] [-b] KERNEL INITRAMFS TREE
 *
 * A user-mode machine with TREE on a virtio-fs device; INITRAMFS has guest.c
 * as init. -b: writeback. Prints the guest's console and a verdict.
 */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "integration/uml/machine.h"
#include "virtiofs/virtiofs.h"

#define TIMEOUT_MS 300000u

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

static void verdict(const struct test_machine *t)
{
	bool good = test_report(t->over && t->reason == VM_EXIT_SHUTDOWN,
				"the end: %s", t->text);

	good &= test_report(strstr(t->console, "conform exits with 0") != NULL,
			    "conform");
	good &= test_report(strstr(t->console, "fsx exits with 0") != NULL,
			    "fsx");
	good &= test_report(strstr(t->console, "guest: done") != NULL, "done");
	if (!good)
		printf("%s\n", t->console);
}

static void print_times(const struct test_machine *t)
{
	const char *at = t->console;

	while ((at = strstr(at, "time: "))) {
		printf("  %.*s\n", (int)strcspn(at, "\r\n"), at);
		at++;
	}
}

int main(int argc, char **argv)
{
	struct virtiofs_config config = {
		.proc_fd = -1,
		.tag = "test",
		.cache = VIRTIOFS_CACHE_AUTO,
		.xattr = true,
	};
	struct test_machine *t;
	struct virtio_device *dev;
	struct err err = {0};
	int opt;

	while ((opt = getopt(argc, argv, "w:q:c:b")) >= 0) {
		if (opt == 'w')
			config.workers = (unsigned)atoi(optarg);
		else if (opt == 'q')
			config.request_queues = (unsigned)atoi(optarg);
		else if (opt == 'c')
			config.cache = cache_of(optarg);
		else if (opt == 'b')
			config.writeback = true;
		else
			return 2;
	}
	if (argc - optind != 3) {
		fprintf(stderr, "usage: vm [-w WORKERS] [-q QUEUES] [-c CACHE] "
				"[-b] KERNEL INITRAMFS TREE\n");
		return 2;
	}
	test_kernel = argv[optind];
	config.root_fd =
		open(argv[optind + 2], O_PATH | O_DIRECTORY | O_CLOEXEC);
	t = test_machine_new(argv[optind + 1], "quiet", &err);
	test_report(t != NULL, "machine %s", err.text);
	if (!t)
		return test_summary();
	dev = virtiofs_device_new(&config, &err);
	if (test_report(dev != NULL, "device %s", err.text) &&
	    test_report(vm_add_device(t->vm, dev, &err) == 0, "plugged %s",
			err.text) &&
	    test_report(vm_start(t->vm, &err) == 0, "started %s", err.text)) {
		test_machine_wait(t, NULL, TIMEOUT_MS);
		print_times(t);
		verdict(t);
	}
	test_machine_free(t);
	return test_summary();
}
