/* SPDX-License-Identifier: Apache-2.0 */
/* Every mount option that the specification of runtimes has (config.md, "Linux
 * mount options"), and what it becomes. */
#include "guest/agent/mount_options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>

#include <cmocka.h>

#define ATIME MOUNT_ATTR__ATIME

static const struct {
	const char *name;
	unsigned long set, cleared, propagation;
	uint64_t rec_set, rec_clear;
} options[] = {
	{"async", .cleared = MS_SYNCHRONOUS},
	{"atime", .cleared = MS_NOATIME},
	{"bind", .set = MS_BIND},
	{"defaults", .set = 0},
	{"dev", .cleared = MS_NODEV},
	{"diratime", .cleared = MS_NODIRATIME},
	{"dirsync", .set = MS_DIRSYNC},
	{"exec", .cleared = MS_NOEXEC},
	{"iversion", .set = MS_I_VERSION},
	{"lazytime", .set = MS_LAZYTIME},
	{"loud", .cleared = MS_SILENT},
	{"mand", .set = MS_MANDLOCK},
	{"noatime", .set = MS_NOATIME},
	{"nodev", .set = MS_NODEV},
	{"nodiratime", .set = MS_NODIRATIME},
	{"noexec", .set = MS_NOEXEC},
	{"noiversion", .cleared = MS_I_VERSION},
	{"nolazytime", .cleared = MS_LAZYTIME},
	{"nomand", .cleared = MS_MANDLOCK},
	{"norelatime", .cleared = MS_RELATIME},
	{"nostrictatime", .cleared = MS_STRICTATIME},
	{"nosuid", .set = MS_NOSUID},
	{"nosymfollow", .set = MS_NOSYMFOLLOW},
	{"private", .propagation = MS_PRIVATE},
	{"ratime", .rec_clear = ATIME},
	{"rbind", .set = MS_BIND | MS_REC},
	{"rdev", .rec_clear = MOUNT_ATTR_NODEV},
	{"rdiratime", .rec_clear = MOUNT_ATTR_NODIRATIME},
	{"relatime", .set = MS_RELATIME},
	{"remount", .set = MS_REMOUNT},
	{"rexec", .rec_clear = MOUNT_ATTR_NOEXEC},
	{"rnoatime", .rec_set = MOUNT_ATTR_NOATIME, .rec_clear = ATIME},
	{"rnodev", .rec_set = MOUNT_ATTR_NODEV},
	{"rnodiratime", .rec_set = MOUNT_ATTR_NODIRATIME},
	{"rnoexec", .rec_set = MOUNT_ATTR_NOEXEC},
	{"rnorelatime", .rec_set = MOUNT_ATTR_STRICTATIME, .rec_clear = ATIME},
	{"rnostrictatime", .rec_clear = ATIME},
	{"rnosuid", .rec_set = MOUNT_ATTR_NOSUID},
	{"rnosymfollow", .rec_set = MOUNT_ATTR_NOSYMFOLLOW},
	{"ro", .set = MS_RDONLY},
	{"rprivate", .propagation = MS_PRIVATE | MS_REC},
	{"rrelatime", .rec_set = MOUNT_ATTR_RELATIME, .rec_clear = ATIME},
	{"rro", .rec_set = MOUNT_ATTR_RDONLY},
	{"rrw", .rec_clear = MOUNT_ATTR_RDONLY},
	{"rshared", .propagation = MS_SHARED | MS_REC},
	{"rslave", .propagation = MS_SLAVE | MS_REC},
	{"rstrictatime", .rec_set = MOUNT_ATTR_STRICTATIME, .rec_clear = ATIME},
	{"rsuid", .rec_clear = MOUNT_ATTR_NOSUID},
	{"rsymfollow", .rec_clear = MOUNT_ATTR_NOSYMFOLLOW},
	{"runbindable", .propagation = MS_UNBINDABLE | MS_REC},
	{"rw", .cleared = MS_RDONLY},
	{"shared", .propagation = MS_SHARED},
	{"silent", .set = MS_SILENT},
	{"slave", .propagation = MS_SLAVE},
	{"strictatime", .set = MS_STRICTATIME},
	{"suid", .cleared = MS_NOSUID},
	{"symfollow", .cleared = MS_NOSYMFOLLOW},
	{"sync", .set = MS_SYNCHRONOUS},
	{"tmpcopyup", .set = 0},
	{"unbindable", .propagation = MS_UNBINDABLE},
	{"idmap", .set = 0},
	{"ridmap", .set = 0},
};

static struct mount_options out;

static void parse(const char *first, const char *second)
{
	char *words[] = {(char *)(uintptr_t)first, (char *)(uintptr_t)second};
	struct err err;

	assert_int_equal(mount_options_parse(words, second ? 2 : 1, &out, &err),
			 0);
	assert_string_equal(out.data, "");
}

static void each_of_them(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		const char *name = options[i].name;
		bool ridmap = !strcmp(name, "ridmap");

		print_message("%s\n", name);
		parse(name, NULL);
		assert_int_equal(out.flags, options[i].set);
		assert_int_equal(out.cleared, options[i].cleared);
		assert_int_equal(out.rec_set, options[i].rec_set);
		assert_int_equal(out.rec_clear, options[i].rec_clear);
		assert_int_equal(out.n_propagation,
				 options[i].propagation ? 1 : 0);
		assert_int_equal(out.propagation[0], options[i].propagation);
		assert_int_equal(out.copy_up, !strcmp(name, "tmpcopyup"));
		assert_int_equal(out.ridmap, ridmap);
		assert_int_equal(out.idmap, ridmap || !strcmp(name, "idmap"));
	}
}

/* The last one of each flag holds. */
static void the_last_one_holds(void **state)
{
	static const struct {
		const char *on, *off;
		unsigned long flag;
	} flags[] = {
		{"ro", "rw", MS_RDONLY},
		{"nosuid", "suid", MS_NOSUID},
		{"nodev", "dev", MS_NODEV},
		{"noexec", "exec", MS_NOEXEC},
		{"nosymfollow", "symfollow", MS_NOSYMFOLLOW},
		{"noatime", "atime", MS_NOATIME},
		{"nodiratime", "diratime", MS_NODIRATIME},
		{"relatime", "norelatime", MS_RELATIME},
		{"strictatime", "nostrictatime", MS_STRICTATIME},
		{"sync", "async", MS_SYNCHRONOUS},
		{"mand", "nomand", MS_MANDLOCK},
		{"silent", "loud", MS_SILENT},
		{"iversion", "noiversion", MS_I_VERSION},
		{"lazytime", "nolazytime", MS_LAZYTIME},
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		parse(flags[i].on, flags[i].off);
		assert_int_equal(out.flags, 0);
		assert_int_equal(out.cleared, flags[i].flag);
		parse(flags[i].off, flags[i].on);
		assert_int_equal(out.flags, flags[i].flag);
		assert_int_equal(out.cleared, 0);
	}
}

static void the_last_recursive_one_holds(void **state)
{
	static const struct {
		const char *on, *off;
		uint64_t attr, clear;
	} attrs[] = {
		{"rro", "rrw", MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY},
		{"rnosuid", "rsuid", MOUNT_ATTR_NOSUID, MOUNT_ATTR_NOSUID},
		{"rnodev", "rdev", MOUNT_ATTR_NODEV, MOUNT_ATTR_NODEV},
		{"rnoexec", "rexec", MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOEXEC},
		{"rnodiratime", "rdiratime", MOUNT_ATTR_NODIRATIME,
		 MOUNT_ATTR_NODIRATIME},
		{"rnosymfollow", "rsymfollow", MOUNT_ATTR_NOSYMFOLLOW,
		 MOUNT_ATTR_NOSYMFOLLOW},
		{"rnoatime", "ratime", MOUNT_ATTR_NOATIME, ATIME},
		{"rstrictatime", "rnostrictatime", MOUNT_ATTR_STRICTATIME,
		 ATIME},
	};

	for (size_t i = 0; i < ARRAY_SIZE(attrs); i++) {
		parse(attrs[i].on, attrs[i].off);
		assert_int_equal(out.rec_set, 0);
		assert_int_equal(out.rec_clear, attrs[i].clear);
		/* mount_setattr(2) clears before it sets. */
		parse(attrs[i].off, attrs[i].on);
		assert_int_equal(out.rec_set, attrs[i].attr);
		assert_int_equal(out.rec_clear, attrs[i].clear);
	}
	/* One says nothing of the other. */
	parse("rnoatime", "rnostrictatime");
	assert_int_equal(out.rec_set, MOUNT_ATTR_NOATIME);
	parse("rstrictatime", "ratime");
	assert_int_equal(out.rec_set, MOUNT_ATTR_STRICTATIME);
	/* Both are values of the same. */
	parse("rnoatime", "rstrictatime");
	assert_int_equal(out.rec_set, MOUNT_ATTR_STRICTATIME);
	assert_int_equal(out.rec_clear, ATIME);
}

/* As the file system may have an option of that name. */
static void others_are_data(void **state)
{
	static const char *const names[] = {"RO", "ro ", "rnobind", "rsync",
					    "noro"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *word = (char *)(uintptr_t)names[i];
		struct err err;

		assert_int_equal(mount_options_parse(&word, 1, &out, &err), 0);
		assert_string_equal(out.data, names[i]);
		assert_int_equal(out.flags, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_of_them),
		cmocka_unit_test(the_last_one_holds),
		cmocka_unit_test(the_last_recursive_one_holds),
		cmocka_unit_test(others_are_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
