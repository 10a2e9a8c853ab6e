/* SPDX-License-Identifier: Apache-2.0 */
/* What a spec asks for is what the process finds. */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "integration/agent/client.h"
#include "integration/agent/suites.h"

static const char *rootfs;
static struct test_spec s;

static void script(const char *text)
{
	spec_init(&s, rootfs, "sh", "-c", text, END);
}

/* Runs s; its output must be `want`. */
static void expect(const char *name, const char *want)
{
	int status;
	const char *out = run("s1", &s, &status);

	if (!check(strcmp(out, want) == 0 && status == 0, "%s", name))
		printf("#   status %d, got: %s\n#   want: %s\n", status, out,
		       want);
}

static void expect_part(const char *name, const char *part)
{
	int status;
	const char *out = run("s1", &s, &status);

	if (!check(strstr(out, part) != NULL, "%s", name))
		printf("#   status %d, got: %s\n", status, out);
}

static void expect_refusal(const char *name, const char *part)
{
	enum ttrpc_code code = create("s1", &s);

	check(code != TTRPC_OK && strstr(call_text, part), "%s", name);
	if (code == TTRPC_OK)
		(void)remove_container("s1");
}

static void test_view(void)
{
	script("hostname; cat /proc/sys/kernel/domainname; ls -d "
	       "/run/kata-containers 2>&1 | grep -c 'No such'");
	s.spec.hostname = strdup("box");
	s.spec.domainname = strdup("example.org");
	expect("host name and domain, and nothing of the guest in sight",
	       "box\nexample.org\n1\n");

	script("[ $(ls /proc | grep -c '^[0-9]*$') -lt 8 ] && echo few");
	expect("no processes of others", "few\n");

	script("touch /x 2>&1; touch /dev/shm/x && echo rw");
	s.root.readonly = true;
	expect("read-only root", "touch: /x: Read-only file system\nrw\n");

	script("cat /proc/cpuinfo | wc -c; ls /proc/bus | wc -l;"
	       "echo 1 2>/dev/null > /proc/sys/kernel/panic || echo ro");
	{
		static char *masked[] = {(char *)"/proc/cpuinfo",
					 (char *)"/proc/bus",
					 (char *)"/proc/nosuch"};
		static char *readonly[] = {(char *)"/proc/sys"};

		s.lin.masked_paths = masked;
		s.lin.n_masked_paths = 3;
		s.lin.readonly_paths = readonly;
		s.lin.n_readonly_paths = 1;
	}
	expect("masked and read-only paths", "0\n0\nro\n");

	script("pwd; test -d /made/by/runtime && echo yes");
	s.process.cwd = strdup("/made/by/runtime");
	expect("working directory is made", "/made/by/runtime\nyes\n");
}

static void test_mounts(void)
{
	char source[256];

	(void)snprintf(source, sizeof(source), "%s-volume", rootfs);
	(void)mkdir(source, 0755);
	script("touch /data/x 2>&1; grep -c ' /data .*nosuid' /proc/mounts");
	spec_mount(&s, "bind", source, "/data", "rbind,ro,nosuid");
	expect("read-only bind", "touch: /data/x: Read-only file system\n1\n");

	script("echo x > /data/y && cat /data/y");
	spec_mount(&s, "none", source, "/data", "rbind,rw,rprivate");
	expect("writable bind", "x\n");

	script("cat /etc/one; stat -c %F /etc/one");
	(void)snprintf(source, sizeof(source), "%s-volume/y", rootfs);
	spec_mount(&s, "bind", source, "/etc/one", "bind");
	expect("file on file", "x\nregular file\n");

	script("cat /sys/fs/cgroup/cgroup.procs | head -n 1; "
	       "cat /proc/self/cgroup");
	spec_mount(&s, "sysfs", "sysfs", "/sys", "ro");
	spec_mount(&s, "cgroup", "cgroup", "/sys/fs/cgroup", "ro");
	expect_part("cgroup view", "0::/\n");

	/* The image's link must lead to the container's /etc. */
	{
		char link[256];

		(void)snprintf(link, sizeof(link), "%s/evil", rootfs);
		(void)unlink(link);
		check(symlink("/../../../../../../etc", link) == 0, "link");
	}
	script("test -e /etc/evil-target && echo inside");
	(void)snprintf(source, sizeof(source), "%s-volume", rootfs);
	spec_mount(&s, "bind", source, "/evil/evil-target", "bind");
	expect("links of the image stay in the image", "inside\n");
	check(access("/etc/evil-target", F_OK) < 0, "nothing outside");

	script("true");
	spec_mount(&s, "bind", source, "/x", "bind,frob");
	expect_refusal("unknown option of a bind", "frob");
	script("true");
	spec_mount(&s, "bind", "/nosuch/source", "/x", "bind");
	expect_refusal("missing source", "/nosuch/source");
}

static void test_devices(void)
{
	static Oci__LinuxDevice d;
	static Oci__LinuxDevice *list[] = {&d};

	script("for d in null zero full random urandom tty; do "
	       "test -c /dev/$d || echo no $d; done; readlink /dev/fd; "
	       "readlink /dev/ptmx; echo x > /dev/null && echo ok");
	expect("default devices", "/proc/self/fd\npts/ptmx\nok\n");

	oci__linux_device__init(&d);
	d.path = strdup("/dev/sub/fuse0");
	d.type = strdup("c");
	d.major = 10;
	d.minor = 229;
	d.file_mode = 0666;
	d.uid = 3;
	d.gid = 4;
	script("stat -c '%t:%T %a %u %g' /dev/sub/fuse0; "
	       "cat /dev/sub/fuse0 2>&1 | grep -c permitted");
	s.lin.devices = list;
	s.lin.n_devices = 1;
	expect("a device of the spec, which no rule allows",
	       "a:e5 666 3 4\n1\n");
}

/* What another process in the container says of the device. */
static bool device_says(const char *exec, const char *part)
{
	struct test_spec x;
	const char *out;
	int status;

	spec_init(&x, rootfs, "sh", "-c", "cat /dev/tun0 2>&1", END);
	if (exec_process("s1", exec, &x) != TTRPC_OK)
		return false;
	out = read_all("s1", exec, false);
	return strstr(out, part) &&
	       wait_process("s1", exec, &status) == TTRPC_OK;
}

/* Of rules alone, as controllers may be missing here. */
static void test_update(void)
{
	Agent__UpdateContainerRequest update =
		AGENT__UPDATE_CONTAINER_REQUEST__INIT;
	Oci__LinuxResources resources = OCI__LINUX_RESOURCES__INIT;
	Oci__LinuxDeviceCgroup rule = OCI__LINUX_DEVICE_CGROUP__INIT;
	Oci__LinuxDeviceCgroup *rules[] = {&rule};
	Oci__LinuxDevice d = OCI__LINUX_DEVICE__INIT, *list[] = {&d};

	d.path = strdup("/dev/tun0");
	d.type = strdup("c");
	d.major = rule.major = 10;
	d.minor = rule.minor = 200;
	script("sleep 100");
	s.lin.devices = list;
	s.lin.n_devices = 1;
	check(create("s1", &s) == TTRPC_OK && start("s1") == TTRPC_OK &&
		      device_says("e1", "not permitted"),
	      "a device that may not be used");
	rule.allow = true;
	rule.type = strdup("c");
	rule.access = strdup("rw");
	resources.devices = rules;
	resources.n_devices = 1;
	update.container_id = strdup("s1");
	update.resources = &resources;
	/* It is open, and no interface's yet. */
	check(call("UpdateContainer", &update.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK &&
		      device_says("e2", "bad state"),
	      "UpdateContainer: now it may");
	check(remove_container("s1") == TTRPC_OK, "remove");
}

static void test_user(void)
{
	static char *caps[] = {(char *)"CAP_NET_BIND_SERVICE",
			       (char *)"CAP_CHOWN"};
	static uint32_t groups[] = {7, 8};

	script("id -u; id -g; id -G; echo $HOME; umask;"
	       "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)|NoNew' /proc/self/status |"
	       "tr '\\t\\n' '  '");
	s.user.uid = 1000;
	s.user.gid = 1001;
	s.user.additional_gids = groups;
	s.user.n_additional_gids = 2;
	s.user.umask_plus_one = 0027 + 1;
	s.process.no_new_privileges = true;
	s.process.capabilities = &s.caps;
	s.caps.bounding = s.caps.permitted = s.caps.inheritable =
		s.caps.effective = s.caps.ambient = caps;
	s.caps.n_bounding = s.caps.n_permitted = s.caps.n_effective = 2;
	s.caps.n_inheritable = 2;
	s.caps.n_ambient = 1;
	/* Only what is ambient survives exec of another user. */
	expect("user, groups, capabilities",
	       "1000\n1001\n1001 7 8\n/home/one\n0027\n"
	       "CapInh: 0000000000000401 CapPrm: 0000000000000400 "
	       "CapEff: 0000000000000400 CapBnd: 0000000000000401 "
	       "CapAmb: 0000000000000400 NoNewPrivs: 1 ");

	script("grep CapEff /proc/self/status");
	expect("no capabilities given: none", "CapEff:\t0000000000000000\n");

	script("true");
	s.process.capabilities = &s.caps;
	s.caps.bounding = (char *[]){(char *)"CAP_FROB"};
	s.caps.n_bounding = 1;
	expect_refusal("unknown capability", "CAP_FROB");
}

static void test_limits(void)
{
	static Oci__POSIXRlimit limit;
	static Oci__POSIXRlimit *limits[] = {&limit};

	oci__posixrlimit__init(&limit);
	limit.type = strdup("RLIMIT_NOFILE");
	limit.soft = 77;
	limit.hard = 99;
	script("ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj");
	s.process.rlimits = limits;
	s.process.n_rlimits = 1;
	s.process.oom_score_adj = 123;
	expect("limits", "77\n99\n123\n");

	limit.type = strdup("RLIMIT_FROB");
	script("true");
	s.process.rlimits = limits;
	s.process.n_rlimits = 1;
	expect_refusal("unknown limit", "RLIMIT_FROB");
}

static void test_personality(void)
{
	static Oci__LinuxPersonality p;
	struct test_spec x;
	int status;

	oci__linux_personality__init(&p);
	p.domain = strdup("LINUX32");
	script("cat /proc/self/personality; read x");
	s.lin.personality = &p;
	spec_init(&x, rootfs, "cat", "/proc/self/personality", END);
	check(create("s1", &s) == TTRPC_OK && start("s1") == TTRPC_OK &&
		      exec_process("s1", "e", &x) == TTRPC_OK &&
		      strcmp(read_all("s1", "e", false), "00000008\n") == 0 &&
		      wait_process("s1", "e", &status) == TTRPC_OK &&
		      close_stdin("s1", "") == TTRPC_OK &&
		      strcmp(read_all("s1", "", false), "00000008\n") == 0,
	      "personality, of execs too");
	check(remove_container("s1") == TTRPC_OK, "remove");
	p.domain = strdup("BSD");
	script("true");
	s.lin.personality = &p;
	expect_refusal("unknown personality", "personality");
}

static void test_namespaces(void)
{
	static Oci__LinuxIDMapping map;
	static Oci__LinuxIDMapping *maps[] = {&map};
	struct test_spec x;
	int status;

	oci__linux_idmapping__init(&map);
	map.host_id = 100000;
	map.size = 65536;
	script("id -u; cat /proc/self/uid_map | tr -s ' '; "
	       "echo x > /dev/null && echo ok; read x");
	spec_namespace(&s, "user");
	s.lin.uid_mappings = s.lin.gid_mappings = maps;
	s.lin.n_uid_mappings = s.lin.n_gid_mappings = 1;
	check(create("s1", &s) == TTRPC_OK && start("s1") == TTRPC_OK,
	      "user namespace");
	spec_init(&x, rootfs, "sh", "-c", "id -u; hostname >/dev/null", END);
	check(exec_process("s1", "e", &x) == TTRPC_OK &&
		      strcmp(read_all("s1", "e", false), "0\n") == 0 &&
		      wait_process("s1", "e", &status) == TTRPC_OK &&
		      status == 0,
	      "exec into a user namespace");
	check(close_stdin("s1", "") == TTRPC_OK &&
		      strcmp(read_all("s1", "", false),
			     "0\n 0 100000 65536\nok\n") == 0,
	      "its maps");
	check(remove_container("s1") == TTRPC_OK, "remove");
}

static void test_other_namespaces(void)
{
	static Oci__LinuxTimeOffset offset;
	static Oci__LinuxTimeOffset *offsets[] = {&offset};
	int status;

	oci__linux_time_offset__init(&offset);
	offset.clock = strdup("boottime");
	offset.secs = 1000000000;
	script("cut -c1-2 /proc/uptime");
	spec_namespace(&s, "time");
	s.lin.time_offsets = offsets;
	s.lin.n_time_offsets = 1;
	expect("time namespace", "10\n");

	script("readlink /proc/self/ns/net");
	spec_namespace(&s, "network");
	{
		char own[64] = "";
		const char *out = run("s1", &s, &status);

		check(readlink("/proc/self/ns/net", own, sizeof(own) - 1) > 0 &&
			      status == 0 && strncmp(out, "net:[", 5) == 0 &&
			      strncmp(out, own, strlen(own)) != 0,
		      "network namespace");
	}

	script("cat /proc/sys/kernel/shmmax");
	{
		static Oci__Pair pair;
		static Oci__Pair *pairs[] = {&pair};

		oci__pair__init(&pair);
		pair.key = strdup("kernel.shmmax");
		pair.value = strdup("4242");
		s.lin.sysctl = pairs;
		s.lin.n_sysctl = 1;
		expect("sysctl", "4242\n");
		pair.key = strdup("kernel.panic");
		script("true");
		s.lin.sysctl = pairs;
		s.lin.n_sysctl = 1;
		expect_refusal("sysctl of the whole guest", "kernel.panic");
	}
}

static void test_hooks(void)
{
	static Oci__Hooks hooks;
	static Oci__Hook one, two;
	static Oci__Hook *ones[] = {&one}, *twos[] = {&two};
	static char *args[] = {(char *)"sh", (char *)"-c", NULL};
	static char *args2[] = {(char *)"sh", (char *)"-c",
				(char *)"cat > /dev/shm/two"};
	static char text[512];

	(void)snprintf(text, sizeof(text), "cat > %s/created", rootfs);
	args[2] = text;
	oci__hooks__init(&hooks);
	oci__hook__init(&one);
	oci__hook__init(&two);
	one.path = strdup("/bin/sh");
	one.args = args;
	one.n_args = 3;
	two.path = strdup("/bin/sh");
	two.args = args2;
	two.n_args = 3;
	hooks.create_container = ones;
	hooks.n_create_container = 1;
	hooks.start_container = twos;
	hooks.n_start_container = 1;
	script("grep -c '\"status\":\"creating\"' /created;"
	       "grep -c '\"id\":\"s1\"' /dev/shm/two");
	s.spec.hooks = &hooks;
	expect("hooks", "1\n1\n");

	two.path = strdup("/bin/false");
	two.n_args = 0;
	script("true");
	s.spec.hooks = &hooks;
	check(create("s1", &s) == TTRPC_OK && start("s1") != TTRPC_OK &&
		      strstr(call_text, "hook startContainer: /bin/false"),
	      "hook that fails");
	check(remove_container("s1") == TTRPC_OK, "remove");
}

static void test_cgroup(void)
{
	static Oci__LinuxMemory memory;
	int status;

	oci__linux_memory__init(&memory);
	memory.limit = 64 << 20;
	script("true");
	s.lin.resources = &s.resources;
	s.resources.memory = &memory;
	s.lin.cgroups_path = strdup("/nacre-test/c");
	if (access("/sys/fs/cgroup/memory.stat", F_OK) < 0 &&
	    access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0) {
		enum ttrpc_code code = create("s1", &s);

		check(code == TTRPC_OK || strstr(call_text, "no memory.max"),
		      "a limit without its controller is an error");
		if (code == TTRPC_OK)
			(void)remove_container("s1");
	}
	script("cat /proc/self/cgroup | grep ^0");
	s.lin.n_namespaces--; /* cgroup, the last one */
	s.lin.cgroups_path = strdup("/nacre-test/c");
	expect("path of the group", "0::/nacre-test/c\n");
	script("sleep 100");
	check(create("s1", &s) == TTRPC_OK && start("s1") == TTRPC_OK, "start");
	{
		Agent__ContainerRequest req = AGENT__CONTAINER_REQUEST__INIT;
		struct test_spec x;

		req.container_id = strdup("s1");
		spec_init(&x, rootfs, "true", END);
		check(call("PauseContainer", &req.base,
			   &agent__empty__descriptor, NULL) == TTRPC_OK,
		      "pause");
		check(call("PauseContainer", &req.base,
			   &agent__empty__descriptor,
			   NULL) == TTRPC_FAILED_PRECONDITION,
		      "pause twice");
		check(exec_process("s1", "e", &x) == TTRPC_FAILED_PRECONDITION,
		      "exec while paused");
		check(call("ResumeContainer", &req.base,
			   &agent__empty__descriptor, NULL) == TTRPC_OK,
		      "resume");
		check(exec_process("s1", "e", &x) == TTRPC_OK &&
			      wait_process("s1", "e", &status) == TTRPC_OK &&
			      status == 0,
		      "exec after it");
		check(call("PauseContainer", &req.base,
			   &agent__empty__descriptor, NULL) == TTRPC_OK,
		      "pause");
	}
	check(remove_container("s1") == TTRPC_OK, "remove while paused");
	(void)rmdir("/sys/fs/cgroup/nacre-test");
}

static void test_oom(void)
{
	Agent__OOMEvent *oom = NULL;
	Agent__Empty empty = AGENT__EMPTY__INIT;
	struct test_spec x;

	/* Memory that nothing can take back. */
	spec_init(&x, rootfs, "dd", "if=/dev/zero", "of=/dev/shm/x", "bs=64k",
		  "count=1000", END);
	x.process.oom_score_adj = 1000;
	x.process.has_oom_score_adj = true;
	check(exec_process("s1", "e2", &x) == TTRPC_OK, "exec that takes all");
	check(call("GetOOMEvent", &empty.base, &agent__oomevent__descriptor,
		   (ProtobufCMessage **)&oom) == TTRPC_OK &&
		      strcmp(oom->container_id, "s1") == 0,
	      "GetOOMEvent");
}

/* Only where the group has controllers, as in a guest. */
static void test_resources(void)
{
	static Oci__LinuxMemory memory;
	static Oci__LinuxCPU cpu;
	static Oci__LinuxPids pids;
	static Oci__Pair unified;
	static Oci__Pair *pairs[] = {&unified};
	Agent__UpdateContainerRequest update =
		AGENT__UPDATE_CONTAINER_REQUEST__INIT;
	struct test_spec x;
	int status;

	oci__linux_memory__init(&memory);
	oci__linux_cpu__init(&cpu);
	oci__linux_pids__init(&pids);
	oci__pair__init(&unified);
	memory.limit = 32 << 20;
	memory.reservation = 1 << 20;
	cpu.shares = 1024;
	cpu.quota = 50000;
	pids.limit = 20;
	unified.key = strdup("memory.high");
	unified.value = strdup("31457280");
	script("cd /sys/fs/cgroup; cat memory.max memory.low memory.high "
	       "cpu.weight cpu.max pids.max");
	spec_mount(&s, "cgroup", "cgroup", "/sys/fs/cgroup", "ro");
	s.lin.resources = &s.resources;
	s.resources.memory = &memory;
	s.resources.cpu = &cpu;
	s.resources.pids = &pids;
	s.resources.unified = pairs;
	s.resources.n_unified = 1;
	expect("limits", "33554432\n1048576\n31457280\n39\n50000 100000\n"
			 "20\n");
	s.args[2] = strdup("sleep 100");
	check(create("s1", &s) == TTRPC_OK && start("s1") == TTRPC_OK,
	      "container with limits");
	memory.limit = 16 << 20;
	memory.reservation = 0;
	update.container_id = strdup("s1");
	update.resources = &s.resources;
	s.resources.cpu = NULL;
	s.resources.pids = NULL;
	s.resources.n_unified = 0;
	check(call("UpdateContainer", &update.base, &agent__empty__descriptor,
		   NULL) == TTRPC_OK,
	      "UpdateContainer");
	spec_init(&x, rootfs, "sh", "-c",
		  "cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/cpu.weight",
		  END);
	check(exec_process("s1", "e", &x) == TTRPC_OK &&
		      strcmp(read_all("s1", "e", false), "16777216\n39\n") ==
			      0 &&
		      wait_process("s1", "e", &status) == TTRPC_OK,
	      "limits after it");
	test_oom();
	check(remove_container("s1") == TTRPC_OK, "remove");
}

void test_spec_suite(const char *root)
{
	rootfs = root;
	test_view();
	test_mounts();
	test_devices();
	test_update();
	test_user();
	test_limits();
	test_personality();
	test_namespaces();
	test_other_namespaces();
	test_hooks();
	test_cgroup();
	if (getenv("AGENT_IS_INIT"))
		test_resources();
}
