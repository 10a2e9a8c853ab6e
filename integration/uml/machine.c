/* SPDX-License-Identifier: Apache-2.0 */
#include "integration/uml/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

const char *test_kernel;
uint64_t test_memory = 128u << 20;
static unsigned passed, failed, skipped;

uint64_t test_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static void exited(void *arg, enum vm_exit_reason reason, const char *text)
{
	struct test_machine *t = arg;

	t->over = true;
	t->reason = reason;
	snprintf(t->text, sizeof(t->text), "%s", text);
}

static void console(void *arg, const void *data, size_t len)
{
	struct test_machine *t = arg;
	size_t room = CONSOLE_MAX - t->len;

	if (getenv("NACRE_SHOW"))
		fwrite(data, len, 1, stderr);
	memcpy(t->console + t->len, data, MIN(len, room));
	t->len += MIN(len, room);
	t->console[t->len] = '\0';
}

struct test_machine *test_machine_new(const char *initramfs,
				      const char *cmdline, struct err *err)
{
	struct test_machine *t = calloc(1, sizeof(*t));
	struct vm_config config = {
		.machine = "uml",
		.vcpus = 1,
		.memory = test_memory,
		.cmdline = cmdline,
	};

	if (!t)
		abort();
	t->loop = evloop_new();
	if (!t->loop)
		abort();
	config.loop = t->loop;
	config.callbacks.exited = exited;
	config.callbacks.console = console;
	config.callbacks.arg = t;
	config.kernel_fd = open(test_kernel, O_RDONLY | O_CLOEXEC);
	config.initramfs_fd = open(initramfs, O_RDONLY | O_CLOEXEC);
	if (config.kernel_fd < 0 || config.initramfs_fd < 0) {
		perror(config.kernel_fd < 0 ? test_kernel : initramfs);
		exit(1);
	}
	t->vm = vm_new(&config, err);
	if (t->vm)
		return t;
	test_machine_free(t);
	return NULL;
}

bool test_machine_up(struct test_machine *t, const char *what)
{
	struct err err = {0};

	if (vm_start(t->vm, &err) == 0 &&
	    test_machine_wait(t, "init runs", 20000) && !t->over)
		return true;
	test_report(false, "%s: the machine runs: %s%s", what, err.text,
		    t->console);
	test_machine_free(t);
	return false;
}

struct test_machine *test_machine_run(const char *initramfs, const char *what)
{
	struct err err = {0};
	struct test_machine *t = test_machine_new(initramfs, "quiet", &err);

	if (t)
		return test_machine_up(t, what) ? t : NULL;
	test_report(false, "%s: %s", what, err.text);
	return NULL;
}

void test_machine_free(struct test_machine *t)
{
	vm_free(t->vm);
	evloop_free(t->loop);
	free(t);
}

bool test_machine_wait(struct test_machine *t, const char *text,
		       unsigned timeout_ms)
{
	uint64_t end = test_now_us() + timeout_ms * 1000ull;

	for (;;) {
		uint64_t now = test_now_us();

		if (t->over || (text && strstr(t->console, text)))
			return true;
		if (now >= end)
			return false;
		evloop_once(t->loop, (int)((end - now) / 1000u) + 1);
	}
}

bool test_report(bool good, const char *fmt, ...)
{
	va_list ap;

	*(good ? &passed : &failed) += 1;
	printf("%s - ", good ? "ok" : "not ok");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	return good;
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	skipped++;
	printf("skip - ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

int test_summary(void)
{
	printf("%u passed, %u failed", passed, failed);
	if (skipped)
		printf(", %u skipped", skipped);
	putchar('\n');
	return failed > 0;
}
