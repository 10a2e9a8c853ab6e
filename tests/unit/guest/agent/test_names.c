/* SPDX-License-Identifier: Apache-2.0 */
/* Names, paths and numbers as they come by the protocol. */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "guest/agent/address.h"
#include "guest/agent/boot.h"
#include "guest/agent/cgroup.h"
#include "guest/agent/ids.h"
#include "guest/agent/limits.h"
#include "guest/agent/namespaces.h"
#include "guest/agent/resources.h"
#include "guest/agent/sysctl.h"
#include "guest/agent/user.h"

static void ids(void **state)
{
	char longest[ID_MAX + 2];

	memset(longest, 'a', sizeof(longest));
	longest[ID_MAX] = '\0';
	assert_true(id_valid(longest));
	longest[ID_MAX] = 'a';
	longest[ID_MAX + 1] = '\0';
	assert_false(id_valid(longest));
	assert_true(id_valid("a-B_9.x"));
	assert_true(id_valid("..."));
	assert_false(id_valid(""));
	assert_false(id_valid("."));
	assert_false(id_valid(".."));
	assert_false(id_valid("a/b"));
	assert_false(id_valid("a b"));
	assert_false(id_valid("a\n"));
	assert_false(id_valid("\xc3\xa4"));
}

static void paths(void **state)
{
	char longest[PATH_MAX + 1];

	assert_true(path_valid("/"));
	assert_true(path_valid("/a/..b/c.."));
	assert_true(path_valid("//a///b/"));
	assert_false(path_valid(""));
	assert_false(path_valid("a"));
	assert_false(path_valid("/.."));
	assert_false(path_valid("/a/../b"));
	assert_false(path_valid("/a/.."));
	memset(longest, '/', sizeof(longest));
	longest[PATH_MAX - 1] = '\0';
	assert_true(path_valid(longest));
	longest[PATH_MAX - 1] = '/';
	longest[PATH_MAX] = '\0';
	assert_false(path_valid(longest));
}

static void cgroup_paths(void **state)
{
	char out[PATH_MAX];
	struct err err;

	assert_int_equal(cgroup_path("", "id", out, sizeof(out), &err), 0);
	assert_string_equal(out, "/sys/fs/cgroup/id");
	assert_int_equal(cgroup_path("/", "id", out, sizeof(out), &err), 0);
	assert_string_equal(out, "/sys/fs/cgroup/id");
	assert_int_equal(cgroup_path("a/b", "id", out, sizeof(out), &err), 0);
	assert_string_equal(out, "/sys/fs/cgroup/a/b");
	assert_int_equal(
		cgroup_path("s.slice:p:n", "id", out, sizeof(out), &err), 0);
	assert_string_equal(out, "/sys/fs/cgroup/s.slice/p-n.scope");
	assert_true(cgroup_path("/a/../b", "id", out, sizeof(out), &err) < 0);
	assert_true(cgroup_path("..:p:n", "id", out, sizeof(out), &err) < 0);
	assert_true(cgroup_path("a:b", "id", out, sizeof(out), &err) < 0);
	assert_true(cgroup_path("/./.", "id", out, sizeof(out), &err) < 0);
}

static void weights(void **state)
{
	assert_int_equal(cpu_weight(0), 1);
	assert_int_equal(cpu_weight(2), 1);
	assert_int_equal(cpu_weight(1024), 39);
	assert_int_equal(cpu_weight(262144), 10000);
	assert_int_equal(cpu_weight(UINT64_MAX), 10000);
}

static void sysctls(void **state)
{
	char out[64];

	assert_true(sysctl_path("net.ipv4.ip_forward", out, sizeof(out)));
	assert_string_equal(out, "net/ipv4/ip_forward");
	assert_true(sysctl_path("net/ipv4/conf/eth0.1/forwarding", out,
				sizeof(out)));
	assert_string_equal(out, "net/ipv4/conf/eth0.1/forwarding");
	assert_true(sysctl_path("net.ipv4.conf.eth0/1.forwarding", out,
				sizeof(out)));
	assert_string_equal(out, "net/ipv4/conf/eth0.1/forwarding");
	assert_true(sysctl_path("kernel.shmmax", out, sizeof(out)));
	assert_true(sysctl_path("fs.mqueue.msg_max", out, sizeof(out)));
	assert_false(sysctl_path("kernel.shmmaxx", out, sizeof(out)));
	assert_false(sysctl_path("kernel.core_pattern", out, sizeof(out)));
	assert_false(sysctl_path("net/../kernel/panic", out, sizeof(out)));
	assert_false(sysctl_path("net//x", out, sizeof(out)));
	assert_false(sysctl_path("net/./x", out, sizeof(out)));
	assert_false(sysctl_path("/net/x", out, sizeof(out)));
	assert_false(sysctl_path("net.", out, sizeof(out)));
	assert_false(sysctl_path("", out, sizeof(out)));
	assert_false(sysctl_path("net.x", out, 5));
}

static void addresses(void **state)
{
	struct ip_address ip;
	uint8_t mac[6];
	char text[64];

	assert_true(ip_parse("192.0.2.1/24", &ip));
	assert_int_equal(ip.family, AF_INET);
	assert_int_equal(ip.prefix, 24);
	assert_true(ip_parse("2001:db8::1", &ip));
	assert_int_equal(ip.prefix, 128);
	ip_format(ip.family, ip.bytes, text, sizeof(text));
	assert_string_equal(text, "2001:db8::1");
	assert_true(ip_parse("0.0.0.0/0", &ip));
	assert_int_equal(ip.prefix, 0);
	assert_false(ip_parse("192.0.2.1/33", &ip));
	assert_false(ip_parse("192.0.2.1/", &ip));
	assert_false(ip_parse("192.0.2.1/-1", &ip));
	assert_false(ip_parse("192.0.2.1/8x", &ip));
	assert_false(ip_parse("192.0.2", &ip));
	assert_false(ip_parse("", &ip));
	assert_true(mac_parse("02:00:5e:10:0a:ff", mac));
	assert_int_equal(mac[5], 0xff);
	mac_format(mac, text);
	assert_string_equal(text, "02:00:5e:10:0a:ff");
	assert_false(mac_parse("02:00:5e:10:0a", mac));
	assert_false(mac_parse("02-00:5e:10:0a:ff", mac));
	assert_false(mac_parse("02:00:5e:10:0a:fg", mac));
}

static void options(void **state)
{
	char out[8];

	assert_true(boot_option("quiet agent.log=debug x\n", "agent.log", out,
				sizeof(out)));
	assert_string_equal(out, "debug");
	assert_true(boot_option("a=1\n", "a", out, sizeof(out)));
	assert_string_equal(out, "1");
	assert_false(
		boot_option("xagent.log=debug", "agent.log", out, sizeof(out)));
	assert_false(
		boot_option("agent.logs=debug", "agent.log", out, sizeof(out)));
	assert_false(boot_option("agent.log=toolong88", "agent.log", out,
				 sizeof(out)));
	assert_false(boot_option("", "a", out, sizeof(out)));
}

static void homes(void **state)
{
	static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
				     "bad line\n"
				     ":x:7:7::relative:/bin/sh\n"
				     "u:x:1000:1000:U:/home/u:/bin/sh";
	char out[16];

	user_home(passwd, 0, out, sizeof(out));
	assert_string_equal(out, "/root");
	user_home(passwd, 1000, out, sizeof(out));
	assert_string_equal(out, "/home/u");
	user_home(passwd, 7, out, sizeof(out));
	assert_string_equal(out, "/");
	user_home(passwd, 5, out, sizeof(out));
	assert_string_equal(out, "/");
	user_home("", 5, out, sizeof(out));
	assert_string_equal(out, "/");
	user_home("u:x:5:5::/a/directory/too/long:/bin/sh", 5, out,
		  sizeof(out));
	assert_string_equal(out, "/");
}

static void capabilities(void **state)
{
	char *names[] = {(char *)"CAP_CHOWN", (char *)"CAP_BPF"};
	char *bad[] = {(char *)"chown"};
	Oci__LinuxCapabilities caps = OCI__LINUX_CAPABILITIES__INIT;
	struct cap_sets sets;
	struct err err;

	assert_int_equal(cap_sets_parse(NULL, &sets, &err), 0);
	assert_int_equal(sets.bounding, 0);
	caps.permitted = names;
	caps.n_permitted = 2;
	assert_int_equal(cap_sets_parse(&caps, &sets, &err), 0);
	assert_int_equal(sets.permitted, 1ULL << 0 | 1ULL << 39);
	assert_int_equal(sets.effective, 0);
	caps.ambient = bad;
	caps.n_ambient = 1;
	assert_int_equal(cap_sets_parse(&caps, &sets, &err), -EINVAL);
}

static void rlimits(void **state)
{
	Oci__Process p = OCI__PROCESS__INIT;
	Oci__POSIXRlimit a = OCI__POSIXRLIMIT__INIT;
	Oci__POSIXRlimit *list[] = {&a, &a};
	struct rlimits out;
	struct err err;

	a.type = (char *)"RLIMIT_NOFILE";
	a.soft = 1;
	a.hard = 2;
	p.rlimits = list;
	p.n_rlimits = 1;
	assert_int_equal(rlimits_parse(&p, &out, &err), 0);
	assert_int_equal(out.n, 1);
	assert_int_equal(out.items[0].limit.rlim_max, 2);
	p.n_rlimits = 2;
	assert_int_equal(rlimits_parse(&p, &out, &err), -EINVAL);
	p.n_rlimits = 1;
	a.soft = 3;
	assert_int_equal(rlimits_parse(&p, &out, &err), -EINVAL);
}

static void namespaces(void **state)
{
	Oci__Linux l = OCI__LINUX__INIT;
	Oci__LinuxNamespace ns[3] = {OCI__LINUX_NAMESPACE__INIT,
				     OCI__LINUX_NAMESPACE__INIT,
				     OCI__LINUX_NAMESPACE__INIT};
	Oci__LinuxNamespace *list[] = {&ns[0], &ns[1], &ns[2]};
	unsigned long fresh, joined;
	struct err err;

	l.namespaces = list;
	assert_true(namespaces_parse(&l, &fresh, &joined, &err) < 0);
	ns[0].type = (char *)"mount";
	ns[1].type = (char *)"network";
	ns[1].path = (char *)"/proc/1/ns/net";
	l.n_namespaces = 2;
	assert_int_equal(namespaces_parse(&l, &fresh, &joined, &err), 0);
	assert_int_equal(fresh, CLONE_NEWNS);
	assert_int_equal(joined, CLONE_NEWNET);
	ns[2].type = (char *)"mount";
	l.n_namespaces = 3;
	assert_true(namespaces_parse(&l, &fresh, &joined, &err) < 0);
	ns[2].type = (char *)"frob";
	assert_true(namespaces_parse(&l, &fresh, &joined, &err) < 0);
	ns[2].type = (char *)"user"; /* without maps */
	assert_true(namespaces_parse(&l, &fresh, &joined, &err) < 0);
	ns[2].type = (char *)"pid";
	ns[2].path = (char *)"/../x";
	assert_true(namespaces_parse(&l, &fresh, &joined, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids),		cmocka_unit_test(paths),
		cmocka_unit_test(cgroup_paths), cmocka_unit_test(weights),
		cmocka_unit_test(sysctls),	cmocka_unit_test(addresses),
		cmocka_unit_test(options),	cmocka_unit_test(homes),
		cmocka_unit_test(capabilities), cmocka_unit_test(rlimits),
		cmocka_unit_test(namespaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
