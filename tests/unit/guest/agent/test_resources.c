/* SPDX-License-Identifier: Apache-2.0 */
/* What is written for resources, into a directory in place of a cgroup. */
#include "guest/agent/resources.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/file.h"

static char top[] = "/tmp/test_resources.XXXXXX";
static int dir = -1;

/* In place of base/file.c's, which such a directory would need files for. */
static char written[512];
static const char *missing = "";

int file_write(int at, const char *path, const char *text)
{
	size_t len = strlen(written);

	if (strcmp(path, missing) == 0)
		return -ENOENT;
	(void)snprintf(written + len, sizeof(written) - len, "%s=%s;", path,
		       text);
	return 0;
}

int file_read(int at, const char *path, size_t max, char **text, size_t *len)
{
	assert_string_equal(path, "memory.current");
	*text = strdup("4096\n");
	return *text ? 0 : -ENOMEM;
}

static void set_up(Oci__LinuxResources *r, Oci__LinuxCPU *cpu,
		   Oci__LinuxMemory *memory, Oci__LinuxBlockIO *io)
{
	oci__linux_resources__init(r);
	if (cpu) {
		oci__linux_cpu__init(cpu);
		r->cpu = cpu;
	}
	if (memory) {
		oci__linux_memory__init(memory);
		r->memory = memory;
	}
	if (io) {
		oci__linux_block_io__init(io);
		r->block_io = io;
	}
	written[0] = '\0';
}

static void applied(const Oci__LinuxResources *r, const char *expected)
{
	struct err err = {0};

	written[0] = '\0';
	if (resources_apply(dir, r, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(written, expected);
}

static void refused(const Oci__LinuxResources *r, int code, const char *text)
{
	struct err err = {0};

	written[0] = '\0';
	assert_int_equal(resources_apply(dir, r, &err), -code);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" is not in \"%s\"", text, err.text);
	assert_string_equal(written, "");
}

static void idle(void **state)
{
	Oci__LinuxResources r;
	Oci__LinuxCPU cpu;

	set_up(&r, &cpu, NULL, NULL);
	applied(&r, "");
	cpu.has_idle = true;
	cpu.idle = 1;
	cpu.shares = 1024;
	applied(&r, "cpu.weight=39;cpu.idle=1;");
	/* An idle group takes no weight: it is woken first. */
	cpu.idle = 0;
	applied(&r, "cpu.idle=0;cpu.weight=39;");
	/* An older host, which does not say that it gives one. */
	cpu.has_idle = false;
	cpu.idle = 1;
	cpu.shares = 0;
	applied(&r, "cpu.idle=1;");
}

static void burst(void **state)
{
	Oci__LinuxResources r;
	Oci__LinuxCPU cpu;

	set_up(&r, &cpu, NULL, NULL);
	cpu.has_burst = true;
	cpu.burst = 5000;
	cpu.quota = 20000;
	applied(&r, "cpu.max=20000 100000;cpu.max.burst=5000;");
	cpu.burst = 0;
	applied(&r, "cpu.max.burst=0;cpu.max=20000 100000;");
	cpu.has_burst = false;
	applied(&r, "cpu.max=20000 100000;");
	cpu.has_burst = true;
	missing = "cpu.max.burst";
	refused(&r, ENOTSUP, "cpu burst: the guest's cgroups have no");
	missing = "";
}

static void check_before_update(void **state)
{
	Oci__LinuxResources r;
	Oci__LinuxMemory memory;

	set_up(&r, NULL, &memory, NULL);
	memory.limit = 4095;
	applied(&r, "memory.max=4095;");
	memory.check_before_update = true;
	refused(&r, EBUSY, "4095 is less than the 4096 in use");
	memory.limit = 4096;
	applied(&r, "memory.max=4096;");
	memory.limit = -1;
	applied(&r, "memory.max=max;");
}

static void not_in_version_2(void **state)
{
	Oci__LinuxWeightDevice device = OCI__LINUX_WEIGHT_DEVICE__INIT;
	Oci__LinuxWeightDevice *list[] = {&device};
	Oci__LinuxResources r;
	Oci__LinuxMemory memory;
	Oci__LinuxBlockIO io;

	set_up(&r, NULL, &memory, NULL);
	memory.kernel = 1;
	refused(&r, ENOTSUP, "memory kernel:");
	memory.kernel = -1; /* no limit */
	applied(&r, "");
	memory.kernel_tcp = 1;
	refused(&r, ENOTSUP, "memory kernelTCP:");
	set_up(&r, NULL, NULL, &io);
	io.leaf_weight = 10;
	refused(&r, ENOTSUP, "blockIO leafWeight:");
	io.leaf_weight = 0;
	io.weight_device = list;
	io.n_weight_device = 1;
	device.leaf_weight = 10;
	refused(&r, ENOTSUP, "blockIO weightDevice leafWeight:");
}

static int make(void **state)
{
	if (!mkdtemp(top))
		return -1;
	dir = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int clean(void **state)
{
	close(dir);
	return rmdir(top);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(idle),
		cmocka_unit_test(burst),
		cmocka_unit_test(check_before_update),
		cmocka_unit_test(not_in_version_2),
	};

	return cmocka_run_group_tests(tests, make, clean);
}
