/* SPDX-License-Identifier: Apache-2.0 */

/*
 * usage: boot KERNEL HELLO DEVICES
 *
 * Starts user-mode machines: with the initramfs HELLO, in each way that they
 * end; with DEVICES, which uses one device of each kind.
 */

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "integration/uml/machine.h"

static bool ran(const struct test_machine *t)
{
	return strstr(t->console, "init runs") != NULL;
}

static void show(const struct test_machine *t)
{
	printf("%s\n", t->console);
}

static void test_end(const char *initramfs, const char *cmdline,
		     enum vm_exit_reason reason, const char *text)
{
	struct err err = {0};
	uint64_t start = test_now_us(), up, end;
	struct test_machine *t = test_machine_new(initramfs, cmdline, &err);
	bool good;

	if (!test_report(t != NULL, "\"%s\": made %s", cmdline, err.text) || !t)
		return;
	test_report(vm_start(t->vm, &err) == 0, "\"%s\": starts %s", cmdline,
		    err.text);
	test_machine_wait(t, "init runs", 20000);
	up = test_now_us() - start;
	test_machine_wait(t, NULL, 20000);
	end = test_now_us() - start;
	good = test_report(t->over && ran(t) && t->reason == reason &&
				   strstr(t->text, text) != NULL,
			   "\"%s\": init after %.1f ms, end after %.1f ms: %s",
			   cmdline, (double)up / 1e3, (double)end / 1e3,
			   t->text);
	if (!good)
		show(t);
	test_machine_free(t);
}

/* Devices. --------------------------------------------------------------- */

#define DISK_LEN (1u << 20)
#define DATA_LEN 65536u

static int make_disk(char first)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, DISK_LEN) < 0)
		abort();
	for (unsigned i = 0; first && i < DATA_LEN; i++) {
		char byte = (char)(first + (int)(i % 61));

		if (pwrite(fd, &byte, 1, i) != 1)
			abort();
	}
	return fd;
}

static bool same_data(int a, int b)
{
	static char x[DATA_LEN], y[DATA_LEN];

	return pread(a, x, sizeof(x), 0) == sizeof(x) &&
	       pread(b, y, sizeof(y), 0) == sizeof(y) &&
	       memcmp(x, y, sizeof(x)) == 0;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    listen(fd, 8) < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}

/* A thread of the host's side: sends back what the first caller sends. */
static void *echo(void *arg)
{
	struct pollfd listening = {.fd = *(int *)arg, .events = POLLIN};
	char buf[256];
	ssize_t n;
	int fd;

	if (poll(&listening, 1, 20000) != 1)
		return NULL;
	fd = accept(listening.fd, NULL, NULL);
	while (fd >= 0 && (n = read(fd, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			break;
	if (fd >= 0)
		close(fd);
	return NULL;
}

static bool add_devices(struct test_machine *t, int from, int to, int calls)
{
	struct err err = {0};
	struct vm_blk_config a = {.fd = dup(from), .readonly = true};
	struct vm_blk_config b = {.fd = dup(to)};
	bool good =
		test_report(vm_add_rng(t->vm, &err) == 0, "rng %s", err.text);

	good &= test_report(vm_add_console(t->vm, &err) == 0, "console %s",
			    err.text);
	good &= test_report(vm_add_blk(t->vm, &a, &err) == 0, "blk %s",
			    err.text);
	good &= test_report(vm_add_blk(t->vm, &b, &err) == 0, "blk %s",
			    err.text);
	good &= test_report(vm_add_vsock(t->vm, 7, calls, "guest", &err) == 0,
			    "vsock %s", err.text);
	return good;
}

static void check_devices(const struct test_machine *t, int from, int to)
{
	bool good = test_report(strstr(t->console, "by virtio-console") != NULL,
				"the guest's bytes come by virtio-console");

	good &= test_report(strstr(t->console, "blk: done") &&
				    same_data(from, to),
			    "the guest copies a disk");
	good &= test_report(strstr(t->console, "vsock: done") != NULL,
			    "the guest's call is answered");
	good &= test_report(t->over && t->reason == VM_EXIT_SHUTDOWN,
			    "the end: %s", t->text);
	if (!good)
		show(t);
}

static void test_devices(const char *initramfs)
{
	char dir[] = "/tmp/uml-boot-XXXXXX";
	struct err err = {0};
	struct test_machine *t;
	int from = make_disk('!'), to = make_disk(0), calls, port;
	pthread_t thread;

	if (!mkdtemp(dir) || chdir(dir) < 0)
		abort();
	calls = listen_at("calls");
	port = listen_at("guest_5000");
	t = test_machine_new(initramfs, "", &err);
	/* Not before: see vm_new. */
	pthread_create(&thread, NULL, echo, &port);
	if (test_report(t != NULL, "devices: made %s", err.text) && t) {
		if (add_devices(t, from, to, calls) &&
		    test_report(vm_start(t->vm, &err) == 0, "starts %s",
				err.text)) {
			test_machine_wait(t, NULL, 20000);
			check_devices(t, from, to);
		}
		test_machine_free(t);
	}
	pthread_join(thread, NULL);
	close(port);
	close(from);
	close(to);
	unlink("calls");
	unlink("guest_5000");
	rmdir(dir);
}

int main(int argc, char **argv)
{
	if (argc != 4) {
		fprintf(stderr, "usage: boot KERNEL HELLO DEVICES\n");
		return 2;
	}
	test_kernel = argv[1];
	test_end(argv[2], "quiet", VM_EXIT_SHUTDOWN, "powered off");
	test_end(argv[2], "", VM_EXIT_SHUTDOWN, "powered off");
	test_end(argv[2], "quiet -- panic", VM_EXIT_RESET, "panicked");
	test_end(argv[2], "quiet -- reset", VM_EXIT_SHUTDOWN, "");
	test_devices(argv[3]);
	return test_summary();
}
