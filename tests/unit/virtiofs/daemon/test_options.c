/* SPDX-License-Identifier: Apache-2.0 */
#include "virtiofs/daemon/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <linux/capability.h>
#include <string.h>

#include "base/privilege.h"

static struct daemon_options o;
static struct err err;

/* The arguments end with NULL. */
static int parse(const char *first, ...)
{
	char *argv[32] = {(char *)"nacre-virtiofsd"};
	const char *arg = first;
	int argc = 1;
	va_list ap;

	va_start(ap, first);
	for (; arg; arg = va_arg(ap, const char *))
		argv[argc++] = (char *)arg;
	va_end(ap);
	memset(&err, 0, sizeof(err));
	return daemon_options_parse(&o, argc, argv, &err);
}

#define PARSE(...) parse("--shared-dir", "/srv", "--fd=3", ##__VA_ARGS__, NULL)
/* Refused, with this in the message. */
#define REFUSED(part, ...)                                   \
	do {                                                 \
		assert_int_not_equal(PARSE(__VA_ARGS__), 0); \
		if (!strstr(err.text, part))                 \
			fail_msg("%s", err.text);            \
	} while (0)

static void defaults_are_those_of_virtiofsd(void **state)
{
	assert_int_equal(
		parse("--shared-dir", "/srv", "--socket-path", "s", NULL), 0);
	assert_string_equal(o.shared_dir, "/srv");
	assert_string_equal(o.socket_path, "s");
	assert_int_equal(o.listen_fd, -1);
	assert_int_equal(o.sandbox, DAEMON_SANDBOX_NAMESPACE);
	assert_int_equal(o.seccomp, DAEMON_SECCOMP_KILL);
	assert_int_equal(o.fs.cache, VIRTIOFS_CACHE_AUTO);
	assert_int_equal(o.fs.request_queues, VIRTIOFS_QUEUES_MAX);
	assert_int_equal(o.fs.workers, 0);
	assert_true(o.fs.announce_submounts);
	assert_true(o.fs.no_killpriv);
	assert_true(o.fs.no_noatime);
	assert_true(o.fs.no_mmap);
	assert_false(o.fs.xattr || o.fs.posix_acl || o.fs.readonly);
	assert_false(o.fs.writeback || o.fs.direct_io || o.fs.no_readdirplus);
	assert_false(o.tag_given || o.once || o.syslog || o.nofile_given);
	assert_int_equal(o.log_level, LOG_INFO);
	assert_null(o.fs.uids);
	assert_null(o.fs.gids);
}

static void values_are_taken_both_ways(void **state)
{
	assert_int_equal(PARSE("--cache=metadata", "--sandbox", "chroot",
			       "--seccomp=trap", "--thread-pool-size", "16",
			       "--rlimit-nofile=0", "--tag", "data",
			       "--log-level=debug"),
			 0);
	assert_int_equal(o.listen_fd, 3);
	assert_int_equal(o.fs.cache, VIRTIOFS_CACHE_METADATA);
	assert_int_equal(o.sandbox, DAEMON_SANDBOX_CHROOT);
	assert_int_equal(o.seccomp, DAEMON_SECCOMP_TRAP);
	assert_int_equal(o.fs.workers, 16);
	assert_true(o.nofile_given);
	assert_int_equal(o.nofile, 0);
	assert_true(o.fs.keep_nofile);
	assert_string_equal(o.fs.tag, "data");
	assert_true(o.tag_given);
	assert_int_equal(o.fs.request_queues, 1);
	assert_int_equal(o.log_level, LOG_DEBUG);
	/* The last one counts. */
	assert_int_equal(PARSE("--log-level=off", "--log-level", "warn",
			       "--cache=never", "--cache=always",
			       "--rlimit-nofile=0", "--rlimit-nofile=5000"),
			 0);
	assert_int_equal(o.nofile, 5000);
	assert_false(o.fs.keep_nofile);
	assert_false(o.log_off);
	assert_int_equal(o.log_level, LOG_WARN);
	assert_int_equal(o.fs.cache, VIRTIOFS_CACHE_ALWAYS);
}

static void flags_are_taken(void **state)
{
	assert_int_equal(PARSE("--posix-acl", "--readonly", "--writeback",
			       "--allow-direct-io", "--allow-mmap",
			       "--preserve-noatime", "--killpriv-v2",
			       "--no-announce-submounts", "--no-readdirplus",
			       "--once", "--syslog"),
			 0);
	assert_true(o.fs.xattr && o.fs.posix_acl && o.fs.readonly);
	assert_true(o.fs.writeback && o.fs.direct_io && o.fs.no_readdirplus);
	assert_false(o.fs.no_mmap || o.fs.no_noatime || o.fs.no_killpriv);
	assert_false(o.fs.announce_submounts);
	assert_true(o.once && o.syslog);
	assert_int_equal(PARSE("--killpriv-v2", "--no-killpriv-v2"), 0);
	assert_true(o.fs.no_killpriv);
	/* These need nothing else. */
	assert_int_equal(parse("--version", NULL), 0);
	assert_true(o.version);
	assert_int_equal(parse("-h", NULL), 0);
	assert_true(o.help);
	assert_int_equal(parse("--print-capabilities", NULL), 0);
	assert_true(o.print_capabilities);
}

static void maps_and_capabilities(void **state)
{
	assert_int_equal(PARSE("--uid-map=:0:100000:65536:", "--gid-map",
			       "/0/1000/1/", "--uid-map",
			       ":65536:7:1:", "--modcaps=+sys_admin:-setfcap"),
			 0);
	assert_int_equal(o.uid_map.n, 2);
	assert_int_equal(o.uid_map.lines[0].outside, 100000);
	assert_int_equal(o.uid_map.lines[0].count, 65536);
	assert_int_equal(o.uid_map.lines[1].inside, 65536);
	assert_int_equal(o.gid_map.n, 1);
	assert_int_equal(o.gid_map.lines[0].outside, 1000);
	assert_true(o.add_caps == CAP_MASK(CAP_SYS_ADMIN));
	assert_true(o.drop_caps == CAP_MASK(CAP_SETFCAP));
	assert_int_equal(PARSE("--translate-uid", "map:0:1000:10",
			       "--translate-gid=squash-guest:0:5:4294967295"),
			 0);
	assert_int_equal(fs_id_to_host(o.fs.uids, 3), 1003);
	assert_int_equal(fs_id_to_host(o.fs.gids, 77), 5);
}

static void bad_values_are_named(void **state)
{
	REFUSED("--cache some", "--cache", "some");
	REFUSED("--thread-pool-size 17", "--thread-pool-size=17");
	REFUSED("--thread-pool-size -1", "--thread-pool-size", "-1");
	REFUSED("--fd 2", "--fd", "2");
	REFUSED("--fd 3x", "--fd", "3x");
	REFUSED("--sandbox", "--sandbox=");
	REFUSED("--seccomp: needs a value", "--seccomp");
	REFUSED("--log-level most", "--log-level", "most");
	REFUSED("--tag", "--tag", "0123456789012345678901234567890123456");
	REFUSED("--readonly: takes no value", "--readonly=no");
	REFUSED("--uid-map", "--uid-map=0:1:1");
	REFUSED("--uid-map", "--uid-map=:0:1:0:");
	REFUSED("--uid-map", "--uid-map=:0:1:1");
	REFUSED("--uid-map", "--uid-map=:0:1:1:2");
	REFUSED("--uid-map", "--uid-map=:0:1:4294967295:");
	REFUSED("--uid-map", "--uid-map=");
	REFUSED("--modcaps", "--modcaps=sys_admin");
	REFUSED("--modcaps", "--modcaps=+sys_admin:");
	REFUSED("--modcaps", "--modcaps=+no_such_capability");
	REFUSED("one capability both ways", "--modcaps=+mknod:-mknod");
	REFUSED("--xattrmap", "--xattr", "--xattrmap=:ok:all::");
	REFUSED("overlaps", "--translate-uid=map:0:1000:10",
		"--translate-uid=guest:9:0:1");
}

static void what_is_not_there_is_refused(void **state)
{
	REFUSED("--migration-mode: ", "--migration-mode", "find-paths");
	REFUSED("--security-label: ", "--security-label");
	REFUSED("--migration-on-error: ", "--migration-on-error=abort");
	REFUSED("--migration-verify-handles: ", "--migration-verify-handles");
	REFUSED("--migration-confirm-paths: ", "--migration-confirm-paths");
	REFUSED("--inode-file-handles", "--inode-file-handles=always");
	REFUSED("-f: ", "-f");
	REFUSED("-d: ", "-d");
	REFUSED("-o: ", "-o", "source=/srv");
	REFUSED("unknown option \"--cach=auto\"", "--cach=auto");
	REFUSED("unknown option \"tree\"", "tree");
	assert_int_equal(PARSE("--inode-file-handles=never"), 0);
	assert_int_equal(o.fs.file_handles, VIRTIOFS_HANDLES_NEVER);
	assert_int_equal(PARSE("--inode-file-handles=mandatory"), 0);
	assert_int_equal(o.fs.file_handles, VIRTIOFS_HANDLES_MANDATORY);
}

static void older_words(void **state)
{
	assert_int_equal(PARSE("--inode-file-handles=fallback"), 0);
	assert_int_equal(o.fs.file_handles, VIRTIOFS_HANDLES_PREFER);
	assert_int_equal(PARSE("--log-level=trace"), 0);
	assert_int_equal(o.log_level, LOG_DEBUG);
	assert_false(o.log_off);
	assert_int_equal(parse("--shared-dir=/srv", "--socket=/run/s", NULL),
			 0);
	assert_string_equal(o.socket_path, "/run/s");
}

static void what_does_not_go_together(void **state)
{
	REFUSED("only one of them", "--socket-path", "s");
	REFUSED("--xattrmap", "--xattrmap=:map::user.x.:");
	assert_int_equal(PARSE("--xattrmap=:map::user.x.:", "--posix-acl"), 0);
	assert_int_equal(PARSE("--xattrmap=:map::user.x.:", "--xattr"), 0);
	assert_int_equal(o.fs.xattrmap->n, 2);
	REFUSED("--writeback", "--writeback", "--cache=never");
	REFUSED("--writeback", "--cache=metadata", "--writeback");
	REFUSED("--inode-file-handles", "--modcaps=-dac_read_search",
		"--inode-file-handles=prefer");
	assert_int_equal(PARSE("--modcaps=-dac_read_search", "--xattr"), 0);
	REFUSED("--socket-group", "--socket-group", "kvm");
	REFUSED("--sandbox namespace", "--uid-map=:0:1:1:", "--sandbox=none");
	assert_int_not_equal(parse("--fd=3", NULL), 0);
	assert_non_null(strstr(err.text, "--shared-dir"));
	assert_int_not_equal(parse("--shared-dir=/srv", NULL), 0);
	assert_non_null(strstr(err.text, "--socket-path or --fd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_those_of_virtiofsd),
		cmocka_unit_test(values_are_taken_both_ways),
		cmocka_unit_test(flags_are_taken),
		cmocka_unit_test(maps_and_capabilities),
		cmocka_unit_test(bad_values_are_named),
		cmocka_unit_test(what_is_not_there_is_refused),
		cmocka_unit_test(older_words),
		cmocka_unit_test(what_does_not_go_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
