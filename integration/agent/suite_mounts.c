/* SPDX-License-Identifier: Apache-2.0 */
/* Options of mounts, as the container's own mountinfo has them. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

/* Those of a mount (not of its file system), for /m and what is below. */
#define OPTIONS                                                              \
	"while read a b c d where options rest; do case $where in /m|/m/*) " \
	"echo $where $options;; esac; done < /proc/self/mountinfo"

static const char *rootfs;
static struct test_spec s;

static void expect(const char *name, const char *want)
{
	int status;
	const char *out = run("m1", &s, &status);

	if (!check(strcmp(out, want) == 0 && status == 0, "%s", name))
		printf("#   status %d, got: %s\n#   want: %s\n", status, out,
		       want);
}

static void script(const char *text)
{
	spec_init(&s, rootfs, "sh", "-c", text, END);
}

/* One on another. */
static void two(const char *options)
{
	script(OPTIONS);
	spec_mount(&s, "tmpfs", "tmpfs", "/m", options);
	spec_mount(&s, "tmpfs", "tmpfs", "/m/sub", options);
}

static void test_recursive(void)
{
	two("");
	spec_mount(&s, "none", "none", "/m",
		   "remount,bind,rro,rnosymfollow,rnodev,rnoexec,rnoatime");
	expect("recursive options are of all",
	       "/m ro,nodev,noexec,noatime,nosymfollow\n"
	       "/m/sub ro,nodev,noexec,noatime,nosymfollow\n");
	two("");
	spec_mount(&s, "none", "none", "/m",
		   "remount,bind,ro,nosuid,noexec,nodiratime");
	expect("and others of one", "/m ro,nosuid,noexec,nodiratime,relatime\n"
				    "/m/sub rw,relatime\n");
	two("nosuid,nodev,noexec,noatime,nosymfollow");
	expect("that are given to each",
	       "/m rw,nosuid,nodev,noexec,noatime,nosymfollow\n"
	       "/m/sub rw,nosuid,nodev,noexec,noatime,nosymfollow\n");
	two("nosuid,nodev,noexec,noatime,nosymfollow");
	spec_mount(&s, "none", "none", "/m",
		   "remount,bind,rsuid,rdev,rexec,ratime,rsymfollow");
	expect("are taken from all", "/m rw,relatime\n/m/sub rw,relatime\n");
	two("strictatime");
	spec_mount(&s, "none", "none", "/m",
		   "remount,bind,strictatime,rnodiratime");
	expect("strictatime", "/m rw,nodiratime\n/m/sub rw,nodiratime\n");
	two("strictatime");
	spec_mount(&s, "none", "none", "/m",
		   "remount,bind,strictatime,rnostrictatime");
	expect("rnostrictatime", "/m rw,relatime\n/m/sub rw,relatime\n");
}

static void test_bound(void)
{
	char source[256];

	(void)snprintf(source, sizeof(source), "%s-bound", rootfs);
	(void)mkdir(source, 0755);
	script(OPTIONS
	       "; touch /m/x 2>&1; ln -s /etc/passwd /m/link 2>&1; true");
	spec_mount(&s, "bind", source, "/m",
		   "rbind,rro,rnosuid,rnosymfollow,rnodev,rnoexec,rnoatime");
	expect("of what is bound, too",
	       "/m ro,nosuid,nodev,noexec,noatime,nosymfollow\n"
	       "touch: /m/x: Read-only file system\n"
	       "ln: /m/link: Read-only file system\n");
	script("ln -sf /bin/busybox /m/link; cat /m/link >/dev/null 2>&1 || "
	       "echo none");
	spec_mount(&s, "bind", source, "/m", "rbind,rnosymfollow");
	expect("links are not followed", "none\n");
}

static void test_remount(void)
{
	script(OPTIONS "; touch /m/x 2>&1; "
		       "grep ' /m tmpfs' /proc/mounts | grep -c size=64k");
	spec_mount(&s, "tmpfs", "tmpfs", "/m", "size=32k");
	spec_mount(&s, "tmpfs", "tmpfs", "/m",
		   "remount,ro,noatime,noexec,size=64k");
	expect("remount", "/m ro,noexec,noatime\n"
			  "touch: /m/x: Read-only file system\n1\n");
	script("true");
	spec_mount(&s, "none", "none", "/m", "remount,ro");
	check(create("m1", &s) != TTRPC_OK && strstr(call_text, "mount /m"),
	      "of what is not mounted: %s", call_text);
}

void test_mounts_suite(const char *root)
{
	rootfs = root;
	test_recursive();
	test_bound();
	test_remount();
}
