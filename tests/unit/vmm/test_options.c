/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ARGS_MAX 16
#define LINE_MAX_LEN 256

static struct vmm_options o;
static struct err err;
static char line[LINE_MAX_LEN];

/* Splits at blanks; the options point into `line`. */
static int parse(const char *text)
{
	static char name[] = "nacre-vmm";
	char *argv[ARGS_MAX + 1] = {name};
	int argc = 1;
	char *word, *rest;

	assert_true(strlen(text) < sizeof(line));
	strcpy(line, text);
	for (word = strtok_r(line, " ", &rest); word && argc < ARGS_MAX;
	     word = strtok_r(NULL, " ", &rest))
		argv[argc++] = word;
	memset(&err, 0, sizeof(err));
	return vmm_options_parse(&o, argc, argv, &err);
}

static void takes_all(void **state)
{
	assert_int_equal(
		parse("--kernel k --initramfs i --cmdline --x --cpus boot=4 "
		      "--memory size=5G,thp=off --serial tty --rng -v"),
		0);
	assert_string_equal(o.kernel, "k");
	assert_string_equal(o.initramfs, "i");
	assert_string_equal(o.cmdline, "--x");
	assert_int_equal(o.cpus, 4);
	assert_int_equal(o.memory, 5ull << 30);
	assert_false(o.thp);
	assert_true(o.serial && o.rng && o.console && o.verbose);
	assert_int_equal(parse("--kernel k --console off "
			       "--vsock cid=5,socket=/v "
			       "--disk path=a,readonly=on path=b"),
			 0);
	assert_false(o.console);
	assert_true(o.thp);
	assert_int_equal(o.vsock_cid, 5);
	assert_int_equal(o.ndisks, 2);
	assert_true(o.disks[0].readonly);
	assert_false(o.disks[1].readonly);
	assert_string_equal(o.disks[1].path, "b");
	assert_int_equal(parse("--kernel k --rng src=/dev/urandom "
			       "--net tap=t0,mac=02:00:00:00:00:1f tap=t1"),
			 0);
	assert_int_equal(o.nnets, 2);
	assert_memory_equal(o.nets[0].mac, "\2\0\0\0\0\x1f", 6);
	assert_int_equal(o.nets[1].mac[0] & 3, 2);
}

static void refuses(void **state)
{
	static const char *const bad[] = {
		"",
		"--cpus boot=1",
		"--kernel",
		"--kernel k extra",
		"--kernel k --api-socket x",
		"--kernel k --cpus boot=0x4",
		"--kernel k --cpus boot=-1",
		"--kernel k --cpus boot=4294967296",
		"--kernel k --cpus max=4",
		"--kernel k --cpus 4",
		"--kernel k --memory size=",
		"--kernel k --memory size=G",
		"--kernel k --memory size=1T",
		"--kernel k --memory size=99999999999G",
		"--kernel k --memory size=1G,shared=on",
		"--kernel k --memory size=1G,thp=always",
		"--kernel k --serial null",
		"--kernel k --serial file=x",
		"--kernel k --rng src=/dev/random",
		"--kernel k --vsock cid=2,socket=s",
		"--kernel k --vsock cid=3",
		"--kernel k --vsock socket=s",
		"--kernel k --disk readonly=on",
		"--kernel k --disk path=a,readonly=maybe",
		"--kernel k --disk",
		"--kernel k --net tap=t,mac=01:00:00:00:00:00",
		"--kernel k --net tap=t,mac=02:00:00:00:00",
		"--kernel k --net tap=t,mac=02:00:00:00:00:00x",
		"--kernel k --net mac=02:00:00:00:00:00",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i]) == 0)
			fail_msg("\"%s\" was taken", bad[i]);
		assert_true(err.text[0] != '\0');
	}
	assert_int_equal(parse("--help"), 0);
	assert_true(o.help);
	assert_int_equal(parse("--version"), 0);
	assert_true(o.version);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_all),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
